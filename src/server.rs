//! HTTP over TCP: a limit of connections, limits of time for a request's head and for an answer that
//! is not read, and a graceful end. `axum::serve` has no such limit, so a few slow clients could hold it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::peer::Peer;

/// How long a client may take to send the head of a request, and stay silent between two.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long a client may leave an answer unread.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How long requests that run may still take when the program is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets what runs come to its end.
pub async fn serve(listener: TcpListener, router: Router, connections: usize, stop: CancellationToken) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let (place, accepted) = tokio::select! {
            next = next(&listener, &places) => next,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, Peer(address.ip())),
            Err(error) => {
                // out of file descriptors, most likely: let some be closed
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // small answers go out at once; a socket that refuses the option is gone anyway
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_LIMIT));
        let router = router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

type Next =
    (Option<tokio::sync::OwnedSemaphorePermit>, io::Result<(tokio::net::TcpStream, std::net::SocketAddr)>);

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Next {
    let place = places.clone().acquire_owned().await.ok();
    (place, listener.accept().await)
}
