//! What Prometheus says of one server now: the values that rules compare, and which metrics it gives.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join};

use super::{LIMIT, Values, usable};
use crate::catalogue::{Direction, RuleKind};
use crate::prometheus::client::{Error, Sample};
use crate::prometheus::rules::quoted;

/// What one server gives now.
#[derive(Clone, Debug, Default)]
pub struct Now {
    samples: Vec<Sample>,
    /// Of the metrics that kinds need.
    names: BTreeSet<String>,
}

impl Values {
    /// What the server of these external ids gives now, for these kinds. `None` when the ids name no server. Takes 6 s at
    /// the most.
    pub async fn now(&self, kinds: &[&RuleKind], owner: &str, server: &str) -> Result<Option<Now>, Error> {
        if !usable(owner) || !usable(server) {
            return Ok(None);
        }
        let own = format!("{}={},{}={}", self.own[0], quoted(owner), self.own[1], quoted(server));
        let series = named(kinds.iter().map(|kind| &*kind.series), &own);
        let needed = named(kinds.iter().flat_map(|kind| kind.needed()), &own);
        let needed = format!("count by (__name__) ({needed})");
        let turn = tokio::time::timeout(LIMIT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Error::Busy) };
        let asked = self
            .clients
            .iter()
            .map(|client| try_join(client.query_within(&series, LIMIT), client.query_within(&needed, LIMIT)));
        let (mut now, mut failed) = (Now::default(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok((samples, needed)) => {
                    // the members of a pair both know it; the one that knows more was there for longer
                    if samples.len() > now.samples.len() {
                        now.samples = samples;
                    }
                    now.names
                        .extend(needed.into_iter().filter_map(|(mut labels, _)| labels.remove("__name__")));
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) if now.samples.is_empty() => Err(error),
            _ => Ok(Some(now)),
        }
    }
}

/// All series of these names of one server.
fn named<'a>(names: impl Iterator<Item = &'a str>, own: &str) -> String {
    let names: BTreeSet<_> = names.collect();
    let names: Vec<_> = names.into_iter().collect();
    format!("{{__name__=~{},{own}}}", quoted(&names.join("|")))
}

impl Now {
    /// Whether there is nothing at all of the server.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The worst value of a kind, and the labels of its series.
    pub fn worst(&self, kind: &RuleKind) -> Option<(f64, &BTreeMap<String, String>)> {
        let of_kind = |(labels, value): &&Sample| {
            value.is_finite() && labels.get("__name__").is_some_and(|name| *name == kind.series)
        };
        let worst = |one: &&Sample, other: &&Sample| match kind.direction {
            Direction::Above | Direction::NonZero => one.1.total_cmp(&other.1),
            Direction::Below | Direction::Zero => other.1.total_cmp(&one.1),
        };
        self.samples.iter().filter(of_kind).max_by(worst).map(|(labels, value)| (*value, labels))
    }

    /// Whether a kind can never fire: the server is reached, and gives none of the metrics that it needs.
    pub fn is_blind(&self, kind: &RuleKind) -> bool {
        let reached = |(labels, value): &Sample| {
            *value > 0.0 && labels.get("__name__").is_some_and(|name| name == "up")
        };
        let mut needed = kind.needed().peekable();
        needed.peek().is_some()
            && !needed.any(|name| self.names.contains(name))
            && self.samples.iter().any(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::kind;

    fn sample(name: &str, mountpoint: &str, value: f64) -> Sample {
        (
            [("__name__", name), ("mountpoint", mountpoint)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            value,
        )
    }

    #[test]
    fn the_worst_is_the_one_that_fires_first() {
        let (disk, left) = (kind("disk_threshold_exceeded").unwrap(), kind("disk_will_fill_up").unwrap());
        let samples = vec![
            sample(&disk.series, "/", 40.0),
            sample(&disk.series, "/srv", 91.0),
            sample(&disk.series, "/odd", f64::NAN),
            sample(&left.series, "/", 30.0),
            sample(&left.series, "/srv", 7.0),
        ];
        let now = Now { samples, ..Now::default() };
        let worst = |kind| now.worst(kind).map(|(value, labels)| (value, labels["mountpoint"].as_str()));
        assert_eq!(worst(disk), Some((91.0, "/srv")));
        assert_eq!(worst(left), Some((7.0, "/srv")));
        assert_eq!(worst(kind("service_down").unwrap()), None);
    }

    #[test]
    fn only_of_a_server_that_is_reached_one_knows_what_it_lacks() {
        let swap = kind("swap_threshold_exceeded").unwrap();
        let blind = |up: f64, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let now = Now { samples: vec![sample("up", "", up)], names };
            (now.is_blind(swap), now.is_blind(kind("service_down").unwrap()))
        };
        assert_eq!(blind(1.0, &["node_load5"]), (true, false));
        assert_eq!(blind(1.0, &["node_memory_SwapFree"]), (false, false));
        assert_eq!(blind(0.0, &[]), (false, false));
    }

    #[test]
    fn a_query_is_of_one_server() {
        assert_eq!(named(["up", "a:b", "up"].into_iter(), "o=\"1\""), r#"{__name__=~"a:b|up",o="1"}"#);
    }
}
