//! How long the history is kept: whole months, rows of owners, what is open, and alerts that are no more.

use jiff::{SignedDuration, Timestamp};
use prommgr::store::retention;
use prommgr::store::scope::All;
use prommgr::worker;

use crate::alertmanager::alert;
use crate::house::House;

fn at(text: &str) -> Timestamp {
    format!("{text}T12:00:00Z").parse().unwrap()
}

impl House {
    /// Makes the partitions of a month and the next three.
    async fn months_from(&self, day: &str) {
        let mut db = self.app.db(All::operator()).await.unwrap();
        retention::make_partitions(&mut db, All::operator(), at(day)).await.unwrap();
    }

    /// Puts an episode into the history that was heard of when it began; returns its id. No end: it is open.
    async fn episode(&self, name: &str, owner: Option<i64>, began: &str, ended: Option<&str>) -> i64 {
        let sql = "with episode as ( \
              insert into alerts (received_at, cluster_id, fingerprint, owner_id, rule, severity, instance, labels, annotations, \
                started_at, ended_at, last_seen_at, close_reason) \
              select began, 1, name, owner, 'service_down', 'critical', 'x', jsonb_build_object('name', name), '{}', began, ended, began, \
                case when ended is not null then 'resolved' end \
              from (select $1::timestamptz as began, $2::text as name, $3::bigint as owner, $4::timestamptz as ended) x \
              returning * \
            ) insert into alert_heads (cluster_id, fingerprint, open_id, open_received_at, open_started_at, last_end) \
              select 1, fingerprint, case when ended_at is null then id end, case when ended_at is null then received_at end, \
                case when ended_at is null then started_at end, ended_at from episode \
              on conflict (cluster_id, fingerprint) do update set last_end = greatest(alert_heads.last_end, excluded.last_end) \
              returning (select id from episode)";
        let time = |day: &str| std::time::SystemTime::from(at(day));
        let row = self.db.query_one(sql, &[&time(began), &name, &owner, &ended.map(time)]).await.unwrap();
        row.get(0)
    }

    async fn retained(&self, day: &str) {
        worker::retain(&self.app, &mut None, at(day)).await.unwrap();
    }

    async fn left(&self) -> Vec<String> {
        self.column("select fingerprint from alerts order by fingerprint").await
    }

    async fn months(&self) -> Vec<String> {
        self.column("select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'alerts'::regclass and c.relname ~ '2025' order by 1").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_which_nothing_is_kept_is_dropped_and_others_lose_rows() {
    let house = House::new().await;
    house.months_from("2025-01-15").await;
    assert_eq!(
        house.months().await,
        ["alerts_2025_01", "alerts_2025_02", "alerts_2025_03", "alerts_2025_04"]
    );
    house.episode("january", Some(house.nordwind), "2025-01-10", Some("2025-01-11")).await;
    house.episode("into march", Some(house.nordwind), "2025-02-10", Some("2025-03-20")).await;
    house.episode("february", Some(house.nordwind), "2025-02-10", Some("2025-02-11")).await;
    house.episode("open", Some(house.nordwind), "2025-03-01", None).await;
    house.episode("unassigned", None, "2025-03-02", Some("2025-03-02")).await;
    house.episode("april", None, "2025-04-02", Some("2025-04-02")).await;
    // 400 days before is the 5th of March 2025
    house.retained("2026-04-09").await;
    assert_eq!(house.left().await, ["april", "into march", "open"]);
    assert_eq!(house.months().await, ["alerts_2025_02", "alerts_2025_03", "alerts_2025_04"]);
    house.retained("2026-06-15").await;
    assert_eq!(house.left().await, ["open"]);
    assert_eq!(house.months().await, ["alerts_2025_03"]);
    // as long as it takes
    house.retained("2090-01-01").await;
    assert_eq!(house.left().await, ["open"]);
    house.db.batch_execute("update alert_heads set open_id = null, open_received_at = null, open_started_at = null; update alerts set ended_at = '2026-06-15', close_reason = 'resolved'").await.unwrap();
    house.retained("2027-07-01").await;
    assert_eq!(house.left().await, ["open"], "its days count from its end");
    house.retained("2027-08-01").await;
    assert_eq!(house.months().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_owner_has_a_time_of_its_own() {
    let house = House::new().await;
    house.db.batch_execute("update owners set history_days = 30 where id = 101; update owners set history_days = 0 where id = 102").await.unwrap();
    house.months_from("2025-01-15").await;
    for (name, owner) in
        [("short", Some(house.nordwind)), ("for ever", Some(house.suedstern)), ("default", None)]
    {
        house.episode(name, owner, "2025-01-10", Some("2025-01-11")).await;
    }
    house.retained("2025-02-05").await;
    assert_eq!(house.left().await, ["default", "for ever", "short"]);
    house.retained("2025-02-15").await;
    assert_eq!(house.left().await, ["default", "for ever"]);
    house.retained("2090-01-01").await;
    assert_eq!(house.left().await, ["for ever"]);
    assert_eq!(house.months().await, ["alerts_2025_01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_days_everything_stays() {
    let house = House::with(|settings| settings.history_days = Some("0".into())).await;
    house.months_from("2025-01-15").await;
    house.episode("old", Some(house.nordwind), "2025-01-10", Some("2025-01-11")).await;
    house.episode("older", None, "2025-01-09", Some("2025-01-09")).await;
    house.retained("2090-01-01").await;
    assert_eq!(house.left().await, ["old", "older"]);
    assert_eq!(house.months().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_of_late_counts_from_then() {
    let house = House::new().await;
    house.told(&[alert("1").began("2017-01-12T14:44:37Z").ended("2017-01-12T15:00:00Z")]).await;
    worker::retain(&house.app, &mut None, Timestamp::now()).await.unwrap();
    assert_eq!(house.count("alerts").await, 1);
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 401);
    worker::retain(&house.app, &mut None, later).await.unwrap();
    assert_eq!(house.count("alerts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_goes_neither_while_somebody_reads_nor_from_under_a_page() {
    let house = House::new().await;
    house.months_from("2025-01-15").await;
    house.episode("old", Some(house.nordwind), "2025-01-10", Some("2025-01-11")).await;
    house.episode("new", Some(house.nordwind), "2026-11-10", None).await;
    let alice = house.alice();
    // pages whose statements and plans are kept by the connections
    for _ in 0..3 {
        assert_eq!(alice.get("/alerts?state=all").await.expect(200).rows().len(), 2);
    }
    let reader = crate::cluster::connect(house.database_url()).await;
    reader.batch_execute("begin; select count(*) from alerts").await.unwrap();
    let drop = async || {
        let mut db = house.app.db(All::operator()).await.unwrap();
        retention::drop_months(&mut db, All::operator(), 400, at("2026-11-15")).await.unwrap()
    };
    // a page that comes while it waits is not kept for longer than that
    let (waited, page) = tokio::join!(drop(), alice.get("/alerts?state=all"));
    assert!(waited.gave_way && waited.months.is_empty(), "{waited:?}");
    assert_eq!(page.expect(200).rows().len(), 2);
    let seen = reader.query_one("select count(*) from alerts", &[]).await.unwrap().get::<_, i64>(0);
    reader.batch_execute("commit").await.unwrap();
    assert_eq!((seen, house.months().await.len()), (2, 4));
    let (dropped, page) = tokio::join!(drop(), alice.get("/alerts?state=all"));
    assert_eq!((dropped.months.len(), dropped.gave_way), (4, false));
    page.expect(200);
    assert_eq!(alice.get("/alerts?state=all").await.expect(200).rows().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strayed_into_the_default_partition_moves_into_its_month() {
    let house = House::new().await;
    let id = house.episode("early", Some(house.nordwind), "2025-02-10", Some("2025-02-11")).await;
    house.episode("earlier", Some(house.nordwind), "2024-12-31", Some("2025-01-01")).await;
    assert_eq!(house.column("select tableoid::regclass::text from alerts").await, ["alerts_default"; 2]);
    house.months_from("2025-01-15").await;
    assert_eq!(
        house.column("select fingerprint || ' ' || tableoid::regclass from alerts order by 1").await,
        ["earlier alerts_default", "early alerts_2025_02"]
    );
    assert_eq!(house.count(&format!("alerts where id = {id}")).await, 1);
    house.alice().get(&format!("/alerts/{id}")).await.expect(200);
    house.charlie().get(&format!("/alerts/{id}")).await.expect(404);
    // behind the same walls, with the same indexes as one that was made empty
    let like = |what: &str| {
        format!(
            "(select {what} from pg_class c where relname = 'alerts_2025_02') a, (select {what} from pg_class c where relname = 'alerts_2025_03') b where a is not distinct from b"
        )
    };
    for what in [
        "relrowsecurity",
        "relforcerowsecurity",
        "(select count(*) from pg_index where indrelid = c.oid)",
        "(select count(*) from pg_constraint where conrelid = c.oid)",
    ] {
        assert_eq!(house.count(&like(what)).await, 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_without_episodes_are_forgotten_late() {
    let house = House::new().await;
    house.months_from("2025-01-15").await;
    house.episode("old", Some(house.nordwind), "2025-01-10", Some("2025-01-11")).await;
    house.episode("again", Some(house.nordwind), "2025-01-10", Some("2025-01-11")).await;
    house.episode("again", Some(house.nordwind), "2026-02-10", Some("2026-02-11")).await;
    house.episode("open", Some(house.nordwind), "2025-01-10", None).await;
    worker::index(&house.app).await.unwrap();
    let known = async || {
        house.column("select distinct fingerprint from alert_heads natural join alert_terms order by 1").await
    };
    assert_eq!(known().await, ["again", "old", "open"]);
    house.db.batch_execute("update owners set history_days = 10").await.unwrap();
    house.retained("2025-02-01").await;
    assert_eq!(known().await, ["again", "old", "open"], "late reports of it may come");
    house.retained("2025-03-01").await;
    assert_eq!(house.left().await, ["again", "open"]);
    assert_eq!(known().await, ["again", "open"]);
    assert_eq!(house.count("alert_terms where fingerprint = 'old'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_says_for_how_long_and_it_is_audited() {
    let house = House::new().await;
    let (root, path) = (house.root(), format!("/owners/{}", house.nordwind));
    assert_eq!(house.alice().get(&path).await.fact("History"), "Kept for 400 days after the end of an alert");
    let form = root.get(&format!("{path}/edit")).await.expect(200);
    assert_eq!(form.typed("history_days"), "");
    let wrong = root.presses(&form, "Save", &[("history_days", "a year")]).await.expect(422);
    assert_eq!((wrong.errors(), wrong.typed("history_days")), (1, "a year".into()));
    assert_eq!(wrong.error_at("history_days"), "A whole number of days up to 36500, or nothing.");
    root.presses(&wrong, "Save", &[("history_days", "90")]).await.leads_to();
    assert_eq!(house.alice().get(&path).await.fact("History"), "Kept for 90 days after the end of an alert");
    let noted = "select old::text || new::text from audit where action = 'owner.changed'";
    assert_eq!(house.column(noted).await, [r#"{"history_days": null}{"history_days": 90}"#]);
    root.presses(&root.get(&format!("{path}/edit")).await, "Save", &[("history_days", "0")]).await.leads_to();
    assert_eq!(root.get(&path).await.fact("History"), "Kept for ever after the end of an alert");
}
