//! What a threshold would have done: how often it would have fired on which servers, by what Prometheus recorded,
//! beside what is set now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::client::{Error, Point};
use super::firings::{Firing, firings};
use super::rules::{MOST_ALTERNATIVES, matcher};
use super::values::{Course, Values};
use crate::catalogue::{Direction, RuleKind, Setting};

/// Whoever waits for it looks at a page.
const LIMIT: Duration = Duration::from_secs(10);
/// A query that has less time than this left is not begun.
const SHORTEST: Duration = Duration::from_millis(200);
/// Prometheus refuses a query for more than 11,000 points a series.
const MOST_STEPS: i64 = 10_900;
/// Points of all servers that a query asks for, so that the answer fits into memory where all of them are beyond.
const MOST_POINTS: usize = 500_000;
/// Seconds; Prometheus scrapes and records no oftener as `prom/prometheus.yml` has it.
const SHORTEST_STEP: i64 = 15;
/// Points by which it is found out since when there are values.
const REACH_STEPS: i64 = 84;
/// Series that are drawn.
const DRAWN: usize = 3;

/// What is tried.
pub struct Trial<'a> {
    pub kind: &'a RuleKind,
    /// What is typed, and what is set now.
    pub settings: [Setting; 2],
    /// External ids of owner and server; whoever asks may see all of them.
    pub servers: &'a [(String, String)],
    pub from: Timestamp,
    pub to: Timestamp,
}

/// How often something would have fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub firings: usize,
    pub servers: usize,
}

/// What came of a trial.
#[derive(Debug)]
pub struct Tried {
    /// Since when there are values in the time that was asked for; `None`: there are none.
    pub known: Option<Timestamp>,
    /// Seconds between two looks at a value.
    pub step: i64,
    /// Servers that have values and whose values were looked at.
    pub servers: usize,
    /// Servers without values.
    pub silent: usize,
    /// Servers for which there was no time.
    pub left_out: usize,
    /// Of what is typed, and of what is set now.
    pub counts: [Count; 2],
    /// The series with the most firings.
    pub worst: Vec<Series>,
}

/// A series that would have fired.
#[derive(Debug)]
pub struct Series {
    /// Its place among the servers that were asked for.
    pub server: usize,
    pub labels: BTreeMap<String, String>,
    pub firings: [Vec<Firing>; 2],
    /// Its values, where Prometheus still answered.
    pub course: Option<Course>,
}

/// Indices of servers that are asked for together.
type Chunk = Vec<usize>;

impl Values {
    /// Tries it on every Prometheus. Takes 10 s at the most, and says for how many servers there was no time.
    pub async fn try_out(&self, trial: &Trial<'_>) -> Result<Tried, Error> {
        let deadline = Instant::now() + LIMIT;
        let turn = tokio::time::timeout(LIMIT / 2, self.trials.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Error::Busy) };
        let places: HashMap<(&str, &str), usize> = (trial.servers.iter().enumerate())
            .map(|(n, (owner, server))| ((owner.as_str(), server.as_str()), n))
            .collect();
        let ask = Ask { values: self, trial, places, deadline };
        let reach = ask.reach().await?;
        let mut tried = Tried {
            known: reach.since,
            step: SHORTEST_STEP,
            servers: 0,
            silent: reach.silent,
            left_out: reach.left_out,
            counts: [Count::default(); 2],
            worst: Vec::new(),
        };
        let Some(since) = reach.since else { return Ok(tried) };
        tried.step = step(trial.to.as_second() - since.as_second());
        ask.count(&mut tried, since, reach.servers).await?;
        ask.draw(&mut tried, since).await;
        Ok(tried)
    }
}

struct Reach {
    since: Option<Timestamp>,
    /// Those with values.
    servers: Vec<usize>,
    silent: usize,
    left_out: usize,
}

struct Ask<'a> {
    values: &'a Values,
    trial: &'a Trial<'a>,
    places: HashMap<(&'a str, &'a str), usize>,
    deadline: Instant,
}

impl Ask<'_> {
    /// Which servers have values, and since when.
    async fn reach(&self) -> Result<Reach, Error> {
        let (from, to) = (self.trial.from.as_second(), self.trial.to.as_second());
        let coarse = ((to - from) / REACH_STEPS).max(SHORTEST_STEP);
        let all: Vec<usize> = (0..self.trial.servers.len()).collect();
        let (mut first, mut servers, mut asked) = (None, HashSet::new(), 0);
        for chunk in all.chunks(MOST_ALTERNATIVES) {
            let query = self.present(chunk);
            let found = match self.ranges(&query, from, to, coarse).await {
                Ok(found) => found,
                Err(error) if asked == 0 => return Err(error),
                Err(_) => break,
            };
            asked += chunk.len();
            for (server, _, points) in found {
                servers.insert(server);
                let at = points.first().map(|(at, _)| *at as i64);
                first = [first, at].into_iter().flatten().min();
            }
        }
        let since = match first {
            // where it begins late, exactly when
            Some(at) if at - coarse > from => {
                let some: Vec<usize> = servers.iter().copied().take(MOST_ALTERNATIVES).collect();
                let fine = (coarse / REACH_STEPS).max(SHORTEST_STEP);
                let found = self.ranges(&self.present(&some), at - coarse, at, fine).await?;
                let firsts = found.iter().filter_map(|(_, _, points)| points.first());
                Some(firsts.map(|(at, _)| *at as i64).min().unwrap_or(at))
            }
            Some(_) => Some(from),
            None => None,
        };
        let mut servers: Vec<usize> = servers.into_iter().collect();
        servers.sort_unstable();
        Ok(Reach {
            since: since.and_then(|at| Timestamp::from_second(at).ok()),
            silent: asked - servers.len(),
            servers,
            left_out: self.trial.servers.len() - asked,
        })
    }

    /// Counts firings of these servers, chunk by chunk while there is time.
    async fn count(&self, tried: &mut Tried, since: Timestamp, servers: Vec<usize>) -> Result<(), Error> {
        let trial = self.trial;
        let Some(limit) = loosest(trial.kind.direction, &trial.settings) else {
            tried.servers = servers.len();
            return Ok(());
        };
        let (from, to) = (since.as_second(), trial.to.as_second());
        let steps = usize::try_from((to - from) / tried.step + 1).unwrap_or(1);
        let size = (MOST_POINTS / steps).clamp(1, MOST_ALTERNATIVES);
        let mut chunks: Vec<Chunk> = servers.chunks(size).rev().map(<[usize]>::to_vec).collect();
        while let Some(chunk) = chunks.pop() {
            let query = format!("{} {} {limit}", self.selector(&chunk), trial.kind.direction.operator());
            match self.ranges(&query, from, to, tried.step).await {
                Ok(found) => {
                    tried.servers += chunk.len();
                    self.add(tried, found);
                }
                // a server may have many filesystems
                Err(Error::TooMuch { .. }) if chunk.len() > 1 => {
                    let (one, other) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([other.to_vec(), one.to_vec()]);
                }
                Err(Error::TooMuch { .. }) => tried.left_out += 1,
                Err(error) if tried.servers == 0 => return Err(error),
                Err(_) => {
                    tried.left_out += chunk.len() + chunks.iter().map(Vec::len).sum::<usize>();
                    break;
                }
            }
        }
        Ok(())
    }

    fn add(&self, tried: &mut Tried, found: Vec<Found>) {
        let trial = self.trial;
        let mut fired: [HashSet<usize>; 2] = Default::default();
        for (server, labels, points) in found {
            let of = |setting| firings(&points, tried.step as f64, trial.kind.direction, setting);
            let both = trial.settings.map(of);
            for (n, of_one) in both.iter().enumerate().filter(|(_, of_one)| !of_one.is_empty()) {
                tried.counts[n].firings += of_one.len();
                fired[n].insert(server);
            }
            if both.iter().any(|of_one| !of_one.is_empty()) {
                tried.worst.push(Series { server, labels, firings: both, course: None });
            }
        }
        for (count, servers) in tried.counts.iter_mut().zip(fired) {
            count.servers += servers.len();
        }
        let key = |series: &Series| Reverse((series.firings[0].len(), series.firings[1].len()));
        tried.worst.sort_by_key(key);
        tried.worst.truncate(DRAWN);
    }

    /// The values of the worst series; of a single server also where nothing would have fired.
    async fn draw(&self, tried: &mut Tried, since: Timestamp) {
        if tried.worst.is_empty() && self.trial.servers.len() == 1 {
            let labels = (self.values.own.iter().cloned())
                .zip([self.trial.servers[0].0.clone(), self.trial.servers[0].1.clone()])
                .collect();
            tried.worst.push(Series { server: 0, labels, firings: Default::default(), course: None });
        }
        for series in &mut tried.worst {
            if self.left() < SHORTEST {
                break;
            }
            let labels = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let course = self.values.around(self.trial.kind, &labels, since, self.trial.to);
            let course = tokio::time::timeout(self.left(), course).await;
            series.course = course.ok().and_then(|course| course.ok().flatten());
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Every Prometheus' series of servers that were asked for; where several know one, what knows most of it.
    async fn ranges(&self, query: &str, from: i64, to: i64, step: i64) -> Result<Vec<Found>, Error> {
        let left = self.left();
        if left < SHORTEST {
            return Err(Error::Busy);
        }
        let at = |second: i64| Timestamp::from_second(second).unwrap_or_default();
        let asked =
            (self.values.clients.iter()).map(|client| client.ranges(query, at(from), at(to), step, left));
        let (mut merged, mut failed, mut answered) = (BTreeMap::new(), None, false);
        for answer in join_all(asked).await {
            match answer {
                Ok(series) => {
                    answered = true;
                    for (mut labels, points) in series {
                        labels.remove("__name__");
                        let kept: &mut Vec<Point> = merged.entry(labels).or_default();
                        if points.len() > kept.len() {
                            *kept = points;
                        }
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error @ Error::TooMuch { .. }) => return Err(error),
            Some(error) if !answered => return Err(error),
            _ => {}
        }
        // sets of owners and of servers also match an owner's with another's number
        let [owner, server] = &self.values.own;
        let ours = merged.into_iter().filter_map(|(labels, points)| {
            let pair = (labels.get(owner)?.as_str(), labels.get(server)?.as_str());
            Some((*self.places.get(&pair)?, labels, points))
        });
        Ok(ours.collect())
    }

    fn present(&self, chunk: &[usize]) -> String {
        let [owner, server] = &self.values.own;
        format!("count by ({owner}, {server}) ({})", self.selector(chunk))
    }

    fn selector(&self, chunk: &[usize]) -> String {
        let [owner, server] = &self.values.own;
        let mut owners: Vec<&str> = chunk.iter().map(|n| self.trial.servers[*n].0.as_str()).collect();
        let mut servers: Vec<&str> = chunk.iter().map(|n| self.trial.servers[*n].1.as_str()).collect();
        for ids in [&mut owners, &mut servers] {
            ids.sort_unstable();
            ids.dedup();
        }
        let of = |label: &str, ids| matcher(label, ["=", "=~"], ids);
        format!("{}{{{},{}}}", self.trial.kind.series, of(owner, owners), of(server, servers))
    }
}

type Found = (usize, BTreeMap<String, String>, Vec<Point>);

/// What both settings are beyond, so that one question serves both; `None`: both are off.
fn loosest(direction: Direction, settings: &[Setting]) -> Option<f64> {
    let limits =
        settings.iter().filter(|setting| setting.enabled).map(|setting| setting.value.unwrap_or(0.0));
    limits.reduce(if direction == Direction::Below { f64::max } else { f64::min })
}

/// Seconds between the points of a time that is so many seconds long.
fn step(length: i64) -> i64 {
    let least = length / MOST_STEPS + 1;
    (least + SHORTEST_STEP - 1) / SHORTEST_STEP * SHORTEST_STEP
}

/// The last moment to ask about, so that many who ask within a minute ask the same.
pub fn until(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(now.as_second().rem_euclid(SHORTEST_STEP))).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stay_under_prometheus_limit() {
        for (days, seconds) in [(7, 60), (30, 240)] {
            assert_eq!(step(days * 86_400), seconds);
        }
        for length in [0, 1, 900, 86_400, 163_500, 163_501, 40_000_000] {
            assert!(length / step(length) < 11_000 && step(length) % SHORTEST_STEP == 0, "{length}");
        }
    }

    #[test]
    fn one_question_serves_both_settings() {
        let on = |value| Setting { value: Some(value), hold: 60, enabled: true };
        let off = Setting { enabled: false, ..on(1.0) };
        assert_eq!(loosest(Direction::Above, &[on(90.0), on(80.0)]), Some(80.0));
        assert_eq!(loosest(Direction::Below, &[on(4.0), on(24.0)]), Some(24.0));
        assert_eq!(loosest(Direction::Above, &[on(90.0), off]), Some(90.0));
        assert_eq!(loosest(Direction::Above, &[off, off]), None);
        assert_eq!(loosest(Direction::Zero, &[Setting { value: None, ..on(0.0) }, off]), Some(0.0));
    }
}
