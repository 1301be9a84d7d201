//! The first page, for each who opens it; and the theme.

use crate::alertmanager::alert;
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_house_says_what_to_do_first() {
    let house = House::new().await;
    let page = house.root().get("/").await.expect(200);
    assert_eq!(page.one(".verdict"), "No server is watched yet.");
    assert_eq!(page.all(".steps .title"), ["Add an owner (done)", "Add a server", "Publish"]);
    let page = house.alice().get("/").await.expect(200);
    assert!(!page.has(".steps") && !page.has(".waiting"));
    assert!(
        page.offers("Add the first server") && !house.bob().get("/").await.offers("Add the first server")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_belongs_to_no_owner_is_told_what_to_do() {
    let house = House::new().await;
    let before = house.bob().get("/").await.expect(200);
    house
        .db
        .batch_execute("delete from memberships using users where users.id = user_id and name = 'bob'")
        .await
        .unwrap();
    let page = house.bob().get("/").await.expect(200);
    assert_eq!(page.one(".empty .title"), "You belong to no owner yet");
    assert_eq!(page.one(".empty b"), "bob");
    assert!(!page.has(".verdict") && !before.has(".empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_now_stands_first_the_worst_on_top() {
    let house = House::new().await;
    house.server(house.nordwind, "1", "web", "10.0.0.1").await;
    house.server(house.suedstern, "1", "mail", "10.0.0.1").await;
    let memory = alert("1").rule("mem_threshold_exceeded").severity("warning").began("08:00");
    house
        .told(&[
            memory,
            alert("1").began("09:00"),
            alert("1").owner("12").began("09:30"),
            alert("2").began("07:00").ended("07:30"),
        ])
        .await;
    let page = house.alice().get("/").await.expect(200);
    assert_eq!(page.one(".verdict"), "1 critical and 1 warning open.");
    assert_eq!(page.all("section[aria-labelledby=wrong] a.through"), ["Down", "High memory use"]);
    assert_eq!(page.all("section[aria-labelledby=newest] a.through"), ["Down"]);
    assert!(page.one("title").starts_with("(2)"));
    assert_eq!(house.charlie().get("/").await.one(".verdict"), "1 critical open.");
    assert_eq!(house.root().get("/").await.all("section[aria-labelledby=wrong] a.through").len(), 3);
    let part = house.alice().fragment("/").await.expect(200);
    assert!(part.has(".verdict") && !part.has("header"));
}

/// What nobody is told of is open still, and told apart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_silenced_is_told_apart() {
    let house = House::new().await;
    let cpu = alert("1").rule("cpu_threshold_exceeded").severity("warning");
    let memory = alert("1").rule("mem_threshold_exceeded").severity("warning");
    house.told(&[alert("1"), alert("1").owner("12"), cpu, memory]).await;
    let verdict = async || {
        let page = house.alice().get("/").await.expect(200);
        (page.one(".verdict"), page.attrs(".verdict", "class").remove(0))
    };
    let quiet = async |rule: &str, why: &str| {
        let sql = "update alerts set suppressed = $2 where rule = $1";
        house.db.execute(sql, &[&rule, &why]).await.unwrap();
    };
    for (rule, why, said, kind) in [
        ("none", "muted", "1 critical and 2 warnings open.", "critical"),
        (
            "cpu_threshold_exceeded",
            "inhibited",
            "1 critical and 2 warnings open, 1 of them inhibited.",
            "critical",
        ),
        (
            "service_down",
            "silenced",
            "1 critical and 2 warnings open, 1 of them silenced, 1 inhibited.",
            "warning",
        ),
        (
            "cpu_threshold_exceeded",
            "silenced",
            "1 critical and 2 warnings open, 2 of them silenced.",
            "warning",
        ),
        (
            "mem_threshold_exceeded",
            "silenced",
            "1 critical and 2 warnings open, all of them silenced.",
            "paused",
        ),
    ] {
        quiet(rule, why).await;
        assert_eq!(verdict().await, (said.into(), format!("verdict {kind}")), "{rule} {why}");
    }
    assert_eq!(house.charlie().get("/").await.one(".verdict"), "1 critical open, all of them silenced.");
    // ended, it is neither
    house.told(&[alert("1").ended("10:30")]).await;
    assert_eq!(verdict().await.0, "2 warnings open, all of them silenced.");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_changes_wait_is_for_admins_to_know() {
    let house = House::new().await;
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "web"), ("address", "10.0.0.5"), ("enabled", "true")],
        )
        .await;
    let page = house.root().get("/").await;
    assert_eq!(page.one(".waiting p"), "Not published yet: Server web added for Nordwind.");
    assert!(!house.alice().get("/").await.has(".waiting"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_is_remembered_in_a_cookie() {
    let house = House::new().await;
    let alice = house.alice();
    let page = alice.get("/servers").await;
    assert!(!page.has("html[data-theme]"));
    assert_eq!(alice.presses(&page, "Dark", &[]).await.leads_to(), "/servers");
    let page = alice.get("/servers").await;
    assert_eq!(page.attrs("html", "data-theme"), ["dark"]);
    assert_eq!(page.attrs(".themes [aria-pressed=true]", "value"), ["dark"]);
    alice.presses(&page, "System", &[]).await.leads_to();
    assert!(!alice.get("/servers").await.has("html[data-theme]"));
    assert_eq!(
        alice.post("/theme", &[("theme", "<script>"), ("next", "//evil.example")]).await.leads_to(),
        "/"
    );
}
