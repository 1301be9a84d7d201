//! HTTP over real sockets: the end in good order, and the limit of connections. (The limit of time for a
//! request's head is 30 s and cannot be set, so it is not waited for here.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use prommgr::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(20);

/// Asks over a connection of its own, and reads to its end.
async fn ask(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
    text
}

async fn serve(
    router: Router,
    connections: usize,
) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    (address, stop.clone(), tokio::spawn(server::serve(listener, router, connections, stop)))
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_lets_what_runs_come_to_its_end() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, end) = (begun.clone(), may_end.clone());
    let router = Router::new().route(
        "/",
        get(async move || {
            begin.notify_one();
            end.notified().await;
            "done"
        }),
    );
    let (address, stop, serving) = serve(router, 10).await;
    // one that only holds its connection open keeps nobody waiting
    let idle = TcpStream::connect(address).await.unwrap();
    let asking = tokio::spawn(ask(address));
    begun.notified().await;
    stop.cancel();
    // nobody is let in any more
    crate::house::eventually("the door is closed", async || TcpStream::connect(address).await.err()).await;
    assert!(!serving.is_finished());
    may_end.notify_one();
    assert!(asking.await.unwrap().ends_with("done"));
    tokio::time::timeout(LIMIT, serving).await.expect("it did not end").unwrap();
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_than_allowed_are_served_at_the_same_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let router = Router::new().route(
        "/",
        get(async move || {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            "done"
        }),
    );
    let (address, stop, serving) = serve(router, 3).await;
    let asking: Vec<_> = (0..30).map(|_| tokio::spawn(ask(address))).collect();
    for answer in asking {
        assert!(answer.await.unwrap().ends_with("done"), "one was never served");
    }
    let most = most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} at the same time");
    stop.cancel();
    tokio::time::timeout(LIMIT, serving).await.expect("it did not end").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_turned_away_and_harms_nobody() {
    let (address, stop, serving) = serve(Router::new().route("/", get(async || "done")), 2).await;
    for _ in 0..5 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer))
            .await
            .expect("it was not turned away");
    }
    assert!(ask(address).await.ends_with("done"));
    stop.cancel();
    tokio::time::timeout(LIMIT, serving).await.expect("it did not end").unwrap();
}
