//! The alerts of the benchmark: identities by number, as Alertmanager's JSON and as rows for SQL. Numbers have a
//! fixed width, so that a request is written once and its digits are replaced in place.

use std::collections::BTreeMap;

use prommgr::alertmanager::fingerprint;

pub const OWNERS: usize = 200;
pub const SERVERS: usize = 4000;
pub const TOKEN: &str = "a-token-for-the-benchmark";

/// What is said of an alert.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Firing,
    Resolved,
}

fn server_of(n: usize) -> usize {
    n % SERVERS + 1
}

fn owner_of(n: usize) -> usize {
    (server_of(n) - 1) % OWNERS + 1
}

/// The fingerprint of identity `n`.
pub fn fingerprint_of(n: usize) -> String {
    let labels = [
        ("alertname", "disk_will_fill_up".to_owned()),
        ("cloudnet_owner_id", format!("{:03}", owner_of(n))),
        ("cloudnet_server_id", format!("{:04}", server_of(n))),
        ("device", format!("disk-{n:07}")),
        ("instance", format!("10.20.30.{:04}:9100", server_of(n))),
        ("job", "node".to_owned()),
        ("severity", "critical".to_owned()),
    ];
    let labels: BTreeMap<String, String> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fingerprint::hex(fingerprint::of(&labels))
}

/// As a member of `alerts`; `more` makes its annotations longer.
fn json(n: usize, kind: Kind, more: &str) -> String {
    let (status, ends) = match kind {
        Kind::Firing => ("firing", "0001-01-01T00:00:00Z"),
        Kind::Resolved => ("resolved", "2026-11-01T11:00:00.000Z"),
    };
    format!(
        r#"{{"status":"{status}","labels":{{"alertname":"disk_will_fill_up","cloudnet_owner_id":"{:03}","cloudnet_server_id":"{:04}","device":"disk-{n:07}","instance":"10.20.30.{:04}:9100","job":"node","severity":"critical"}},"annotations":{{"summary":"The disk of server {:04} will be full within a day{more}"}},"startsAt":"2026-11-01T10:00:00.000Z","endsAt":"{ends}","generatorURL":"http://prometheus.example:9090/graph?g0.expr=disk_will_fill_up&g0.tab=1","fingerprint":"{:016x}"}}"#,
        owner_of(n),
        server_of(n),
        server_of(n),
        server_of(n),
        n
    )
}

/// A request of some alerts, as bytes.
pub struct Request {
    pub bytes: Vec<u8>,
    /// Where the alerts begin, how long each is, and where in one its numbers are.
    first: usize,
    width: usize,
    count: usize,
    owner: usize,
    servers: [usize; 3],
    device: usize,
    start: usize,
}

impl Request {
    pub fn new(count: usize, kind: Kind, more: &str) -> Self {
        let one = json(0, kind, more);
        let begin = r#"{"version":"4","groupKey":"{}:{alertname=\"disk_will_fill_up\"}","truncatedAlerts":0,"receiver":"prommgr","status":"firing","groupLabels":{"alertname":"disk_will_fill_up"},"commonLabels":{"alertname":"disk_will_fill_up"},"commonAnnotations":{},"externalURL":"http://alertmanager.example:9093","alerts":["#;
        let body = format!("{begin}{}]}}", vec![one.as_str(); count].join(","));
        let head = format!(
            "POST /webhook/alertmanager HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Alertmanager/0.25.0\r\n\
             Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let after = |word: &str| one.find(word).unwrap() + word.len();
        Self {
            bytes: [head.as_bytes(), body.as_bytes()].concat(),
            first: head.len() + begin.len(),
            width: one.len() + 1,
            count,
            owner: after("cloudnet_owner_id\":\""),
            servers: [after("cloudnet_server_id\":\""), after("10.20.30."), after("disk of server ")],
            device: after("\"disk-"),
            start: after("\"startsAt\":\"2026-11-01T10:"),
        }
    }

    /// Makes it speak of the identities from `n` on.
    pub fn set(&mut self, n: usize) {
        for k in 0..self.count {
            let n = n + k;
            let at = self.first + k * self.width;
            let alert = &mut self.bytes[at..at + self.width - 1];
            put(&mut alert[self.owner..][..3], owner_of(n));
            for place in self.servers {
                put(&mut alert[place..][..4], server_of(n));
            }
            put(&mut alert[self.device..][..7], n);
            // they begin a millisecond after each other
            put(&mut alert[self.start..][..2], n / 60_000 % 60);
            put(&mut alert[self.start + 3..][..2], n / 1000 % 60);
            put(&mut alert[self.start + 6..][..3], n % 1000);
        }
    }
}

/// Writes a number in decimal digits.
fn put(place: &mut [u8], mut n: usize) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}
