//! Connections that post as fast as they are answered, over raw keep-alive HTTP: they share the processors with
//! what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::alerts::{Kind, Request};

/// What came of it.
#[derive(Default)]
pub struct Result {
    pub posts: usize,
    pub refused: usize,
    pub elapsed: Duration,
    /// In order.
    pub times: Vec<Duration>,
}

impl Result {
    pub fn at(&self, part: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last as f64 * part) as usize).copied().unwrap_or_default()
    }
}

/// Posts `count` alerts at a time, from identity `from` to `to` (never one twice), for `limit` at the most.
pub async fn post(
    to_address: SocketAddr,
    connections: usize,
    count: usize,
    kind: Kind,
    range: std::ops::Range<usize>,
    limit: Duration,
) -> Result {
    let next = Arc::new(AtomicUsize::new(range.start));
    let begin = Instant::now();
    let mut working = Vec::new();
    for _ in 0..connections {
        let next = next.clone();
        let end = range.end;
        working.push(tokio::spawn(async move {
            let mut request = Request::new(count, kind, "");
            let mut client = Client::connect(to_address).await;
            let mut result = Result::default();
            while begin.elapsed() < limit {
                let n = next.fetch_add(count, Ordering::Relaxed);
                if n + count > end {
                    break;
                }
                request.set(n);
                let asked = Instant::now();
                let status = client.ask(&request.bytes).await;
                result.times.push(asked.elapsed());
                if status == 200 { result.posts += 1 } else { result.refused += 1 }
            }
            result
        }));
    }
    let mut all = Result::default();
    for one in working {
        let one = one.await.unwrap();
        all.posts += one.posts;
        all.refused += one.refused;
        all.times.extend(one.times);
    }
    all.elapsed = begin.elapsed();
    all.times.sort();
    all
}

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 16 << 10] }
    }

    /// The status of the answer, of which all is read.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.unwrap();
        let mut there = 0;
        loop {
            let n = self.stream.read(&mut self.buffer[there..]).await.unwrap();
            assert!(n > 0, "the connection ended");
            there += n;
            let text = std::str::from_utf8(&self.buffer[..there]).unwrap();
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap().0;
            if there == head + 4 + length.parse::<usize>().unwrap() {
                return text[9..12].parse().unwrap();
            }
        }
    }
}
