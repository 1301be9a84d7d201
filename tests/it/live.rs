//! Lists that are open hear that there is something new for them, and nothing of what is not theirs.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use futures_util::StreamExt;
use prommgr::app::App;
use prommgr::live::MOST;
use prommgr::router::router;
use prommgr::store::scope::All;
use prommgr::worker;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::alertmanager::alert;
use crate::house::{House, eventually};
use crate::person::Person;

/// Longer than anything takes; what does not come has not been said.
const PATIENCE: Duration = Duration::from_secs(20);

struct Heard {
    body: BodyDataStream,
    text: String,
}

impl Heard {
    /// What the list is like at the next event; `None`: the stream has ended.
    async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("nothing was heard")
    }

    async fn read(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id: ")) {
                    assert_eq!(event, format!("id: {id}\ndata: new"), "it says nothing but that");
                    return Some(id.to_owned());
                }
                continue;
            }
            let piece = self.body.next().await?;
            self.text += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
    }
}

/// Opens the stream of a page that shows what it shows now.
async fn listen(app: &App, person: &Person, path: &str) -> Heard {
    let stream = person.get(path).await.expect(200).attrs("#news", "data-live").remove(0);
    let answer = ask(app, person, &format!("{stream}{}", shown(person, path).await)).await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    Heard { body: answer.into_body().into_data_stream(), text: String::new() }
}

async fn ask(app: &App, person: &Person, path: &str) -> axum::response::Response {
    let cookie = format!("prommgr={}", person.cookie("prommgr"));
    let request = Request::get(path).header(header::COOKIE, cookie).header(header::HOST, "prommgr.test");
    router(app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// What a list is like now.
async fn shown(person: &Person, path: &str) -> String {
    person.get(path).await.expect(200).attrs("#news", "data-seen").remove(0)
}

/// Hears what is told, until that is dropped.
fn hearing(app: &App) -> (CancellationToken, tokio_util::sync::DropGuard) {
    let stop = CancellationToken::new();
    tokio::spawn(app.live().clone().listen(app.store().clone(), All::operator(), stop.clone()));
    (stop.clone(), stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_of_their_own() {
    let house = House::new().await;
    let _hearing = hearing(&house.app);
    let (alice, charlie, root) = (house.alice(), house.charlie(), house.root());
    let mut alices = listen(&house.app, &alice, "/alerts").await;
    let mut charlies = listen(&house.app, &charlie, "/alerts").await;
    let mut roots = listen(&house.app, &root, "/alerts").await;
    let mut narrowed = listen(&house.app, &root, "/alerts?owner=102").await;
    house.told(&[alert("1")]).await;
    assert_eq!(alices.next().await, Some(shown(&alice, "/alerts").await));
    assert_eq!(roots.next().await, Some(shown(&root, "/alerts").await));
    // it has no such row, but the menu above it counts one more
    assert_eq!(narrowed.next().await, Some(shown(&root, "/alerts?owner=102").await));
    // what comes next is the first that these hear
    house.told(&[alert("1").owner("12")]).await;
    assert_eq!(charlies.next().await, Some(shown(&charlie, "/alerts").await));
    assert_eq!(narrowed.next().await, Some(shown(&root, "/alerts?owner=102").await));
    house.told(&[alert("1").owner("99")]).await;
    house.told(&[alert("1").ended("10:20")]).await;
    // a repetition says nothing new
    house.told(&[alert("1").ended("10:20")]).await;
    assert_eq!(alices.next().await, Some(shown(&alice, "/alerts").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_hears_of_what_its_filters_leave() {
    let house = House::new().await;
    let _hearing = hearing(&house.app);
    let alice = house.alice();
    let mut all = listen(&house.app, &alice, "/alerts").await;
    let mut closed = listen(&house.app, &alice, "/alerts?state=closed&severity=critical").await;
    let mut unknown = listen(&house.app, &alice, "/alerts?state=unacknowledged").await;
    house.told(&[alert("1")]).await;
    assert_eq!(all.next().await, Some(shown(&alice, "/alerts").await));
    assert_eq!(unknown.next().await, Some(shown(&alice, "/alerts?state=unacknowledged").await));
    // it has none, but the menu above it counts one
    assert_eq!(closed.next().await, Some(shown(&alice, "/alerts?state=closed&severity=critical").await));
    let part = alice.fragment("/alerts?state=closed&severity=critical").await;
    assert_eq!((part.attrs("#news", "data-open"), part.rows().len()), (vec!["1".into()], 0));
    // a colleague's act, on another instance
    let twin = house.twin();
    let path = house.column("select '/alerts/' || id || '/acknowledgement' from alerts").await.remove(0);
    let elsewhere = Person::new(&twin);
    elsewhere.plant("prommgr", &alice.cookie("prommgr"));
    elsewhere.post(&path, &[]).await.leads_to();
    assert_eq!(all.next().await, Some(shown(&alice, "/alerts").await));
    assert_eq!(unknown.next().await, Some(shown(&alice, "/alerts?state=unacknowledged").await));
    house.told(&[alert("1").ended("10:20")]).await;
    // by its labels it is found a little later than it is counted
    worker::index(&house.app).await.unwrap();
    let last = shown(&alice, "/alerts?state=closed&severity=critical").await;
    while closed.next().await.unwrap() != last {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_between_the_page_and_its_stream_is_heard() {
    let house = House::new().await;
    let alice = house.alice();
    let before = shown(&alice, "/alerts").await;
    house.told(&[alert("1")]).await;
    let now = shown(&alice, "/alerts").await;
    assert_ne!(before, now);
    let answer = ask(&house.app, &alice, &format!("/alerts/live?seen={before}")).await;
    let mut heard = Heard { body: answer.into_body().into_data_stream(), text: String::new() };
    assert_eq!(heard.next().await, Some(now));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_session_and_with_rights() {
    let house = House::new().await;
    let (stop, _hearing) = hearing(&house.app);
    let lost = [
        ("bob", "delete from sessions where user_id = (select id from users where name = 'bob')"),
        (
            "alice",
            "update memberships set role = 'viewer' where user_id = (select id from users where name = 'alice')",
        ),
        ("charlie", "delete from memberships where user_id = (select id from users where name = 'charlie')"),
    ];
    for (name, loses) in lost {
        let person = house.another(name).await;
        let mut heard = listen(&house.app, &person, "/alerts").await;
        house.db.batch_execute(loses).await.unwrap();
        let owner = if name == "charlie" { "12" } else { "11" };
        house.told(&[alert(name).owner(owner)]).await;
        assert_eq!(heard.next().await, None, "{name} hears of it still");
    }
    let mut heard = listen(&house.app, &house.root(), "/alerts").await;
    stop.cancel();
    assert_eq!(heard.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_so_many_streams() {
    let house = House::new().await;
    let (alice, bob) = (house.alice(), house.bob());
    let mut open = Vec::new();
    for _ in 0..MOST {
        open.push(listen(&house.app, &alice, "/alerts").await);
    }
    let refused = ask(&house.app, &alice, "/alerts/live").await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key(header::RETRY_AFTER)), (429, true));
    listen(&house.app, &bob, "/alerts").await;
    open.pop();
    eventually("the place is given back", async || {
        (ask(&house.app, &alice, "/alerts/live").await.status().as_u16() == 200).then_some(())
    })
    .await;
    // and all together
    let house = House::with(|settings| settings.max_connections = Some("4".into())).await;
    let (one, other) = (
        listen(&house.app, &house.alice(), "/alerts").await,
        listen(&house.app, &house.bob(), "/alerts").await,
    );
    assert_eq!(ask(&house.app, &house.root(), "/alerts/live").await.status().as_u16(), 503);
    drop((one, other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_anew() {
    let house = House::new().await;
    let _hearing = hearing(&house.app);
    let alice = house.alice();
    let mut heard = listen(&house.app, &alice, "/alerts").await;
    house.told(&[alert("1")]).await;
    heard.next().await.unwrap();
    let listening = "pg_stat_activity where datname = current_database() and query = 'listen prommgr_alerts'";
    assert_eq!(
        house.column(&format!("select pg_terminate_backend(pid)::text from {listening}")).await,
        ["true"]
    );
    house.told(&[alert("2")]).await;
    assert_eq!(heard.next().await, Some(shown(&alice, "/alerts").await));
    eventually("it listens again", async || (house.count(listening).await == 1).then_some(())).await;
    house.told(&[alert("3")]).await;
    assert_eq!(heard.next().await, Some(shown(&alice, "/alerts").await));
}
