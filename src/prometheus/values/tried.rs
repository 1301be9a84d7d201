//! An expression that somebody wrote, tried over everything before it becomes a rule.

use futures_util::future::join_all;

use super::{LIMIT, Values, usable};
use crate::prometheus::client::{Error, Sample};

/// Labels that a rule sets itself.
const OURS: [&str; 2] = ["alertname", "severity"];

/// What an expression gives now.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub series: usize,
    /// The least and the highest value; `None` where no series has a number.
    pub values: Option<(f64, f64)>,
}

/// Why an expression cannot be taken.
#[derive(Debug)]
pub enum Untried {
    /// Prometheus refuses it, or it gives what is of no server; in words.
    Refused(String),
    /// No Prometheus says anything.
    Unknown(Error),
}

impl Values {
    /// Has every Prometheus evaluate it. What one refuses is refused; one that does not answer is passed over while another
    /// does. Takes 6 s at the most.
    pub async fn try_promql(&self, promql: &str) -> Result<Tried, Untried> {
        let turn = tokio::time::timeout(LIMIT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Untried::Unknown(Error::Busy)) };
        let asked = self.clients.iter().map(|client| client.query_within(promql, LIMIT));
        let (mut found, mut failed) = (None, None);
        for answer in join_all(asked).await {
            match answer {
                Ok(samples) => found.get_or_insert_with(Vec::new).extend(samples),
                Err(Error::Answer { status: 400 | 422, reason, .. }) => {
                    return Err(Untried::Refused(format!("Prometheus refuses it: {reason}.")));
                }
                Err(error) => failed = Some(error),
            }
        }
        match (found, failed) {
            (Some(samples), _) => self.judged(&samples),
            (None, Some(error)) => Err(Untried::Unknown(error)),
            (None, None) => Err(Untried::Unknown(Error::Setup("no Prometheus is set".into()))),
        }
    }

    fn judged(&self, samples: &[Sample]) -> Result<Tried, Untried> {
        for (labels, _) in samples {
            let shown = || {
                let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                labels.join(", ").chars().take(200).collect::<String>()
            };
            let lost = self.own.iter().find(|own| !labels.get(*own).is_some_and(|value| usable(value)));
            if let Some(lost) = lost {
                return Err(Untried::Refused(format!(
                    "It gives a series without {lost}: {{{}}}. Select servers only, as by {{{lost}!=\"\"}}.",
                    shown()
                )));
            }
            if let Some(ours) = OURS.iter().find(|ours| labels.contains_key(**ours)) {
                return Err(Untried::Refused(format!(
                    "It gives a series with the label {ours}, which rules set: {{{}}}.",
                    shown()
                )));
            }
        }
        let values = samples.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let range = values.fold(None, |range: Option<(f64, f64)>, value| {
            let (least, most) = range.unwrap_or((value, value));
            Some((least.min(value), most.max(value)))
        });
        Ok(Tried { series: samples.len(), values: range })
    }
}
