//! Where a request comes from, over real sockets and behind proxies.

use axum::body::Body;
use axum::http::{Request, header};
use prommgr::router::router;
use prommgr::server;
use prommgr::store::attempts::FROM_AN_ADDRESS;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::house::{House, PASSWORD};

/// Posts a wrong login over a real socket, as a proxy would that names a client; returns the status.
async fn over_the_wire(client: &reqwest::Client, port: u16, forwarded_for: &str) -> u16 {
    let request = client
        .post(format!("http://127.0.0.1:{port}/login"))
        .header("X-Forwarded-For", forwarded_for)
        .form(&[("username", "nobody"), ("password", "wrong")]);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_socket_the_peer_counts_and_behind_a_trusted_proxy_its_client() {
    for trusted in [None, Some("127.0.0.0/8, ::1")] {
        let house = House::with(|settings| settings.trusted_proxies = trusted.map(str::to_owned)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, stop) = (listener.local_addr().unwrap().port(), CancellationToken::new());
        let serving = tokio::spawn(server::serve(listener, router(house.app.clone()), 10, stop.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for n in 0..FROM_AN_ADDRESS {
            // the client writes what it likes on the left
            let said = if trusted.is_some() { "203.0.113.66".into() } else { format!("203.0.113.{n}") };
            assert_eq!(over_the_wire(&client, port, &format!("192.0.2.{n}, {said}")).await, 422);
        }
        assert_eq!(over_the_wire(&client, port, "192.0.2.200, 203.0.113.66").await, 429);
        let another = over_the_wire(&client, port, "203.0.113.66, 192.0.2.200").await;
        assert_eq!(another, if trusted.is_some() { 422 } else { 429 });
        stop.cancel();
        serving.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_noted_where_somebody_logged_in_from() {
    let house = House::with(|settings| settings.trusted_proxies = Some("10.0.0.1".into())).await;
    let alice = house.anyone().from("10.0.0.1");
    let request = Request::post("/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("X-Forwarded-For", "2001:db8::7");
    let form = format!("username=alice&password={PASSWORD}");
    alice.send(request.body(Body::from(form)).unwrap()).await.leads_to();
    assert_eq!(house.column("select address from audit").await, ["2001:db8::7"]);
    assert_eq!(house.column("select data->>'from' from sessions where data ? 'from'").await, ["2001:db8::7"]);
}
