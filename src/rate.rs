//! How much a token may ask of one instance: so that a script that runs wild slows down, and nobody else does.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

type Limiter = RateLimiter<i64, DefaultKeyedStateStore<i64>, DefaultClock, StateInformationMiddleware>;

/// What each token may ask; `None`: as much as it likes.
pub struct Rate(Option<Limit>);

struct Limit {
    limiter: Limiter,
    per_minute: u32,
    at_once: u32,
}

/// How a token stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests at once.
    pub limit: u32,
    /// Of these, still there.
    pub remaining: u32,
    /// Seconds until all are there again.
    pub reset: u32,
    /// The request is one too many, and after so long there is one again.
    pub wait: Option<Duration>,
}

impl Rate {
    /// So many requests a minute, a quarter of them at once; 0: no limit.
    pub fn new(per_minute: u32) -> Self {
        let at_once = per_minute.div_ceil(4);
        Self(NonZeroU32::new(per_minute).zip(NonZeroU32::new(at_once)).map(|(rate, burst)| {
            let limiter = RateLimiter::keyed(Quota::per_minute(rate).allow_burst(burst)).with_middleware();
            Limit { limiter, per_minute, at_once }
        }))
    }

    /// Takes one request of the token with that id. `None`: there is no limit.
    pub fn take(&self, token: i64) -> Option<Standing> {
        let Limit { limiter, per_minute, at_once } = self.0.as_ref()?;
        let (remaining, wait) = match limiter.check_key(&token) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(DefaultClock::default().now()))),
        };
        let missing = u64::from(at_once.saturating_sub(remaining));
        let reset = (missing * 60).div_ceil(u64::from(*per_minute));
        Some(Standing { limit: *at_once, remaining, reset: u32::try_from(reset).unwrap_or(u32::MAX), wait })
    }

    /// Forgets tokens that have asked nothing for a while.
    pub fn tidy(&self) {
        if let Some(limit) = &self.0 {
            limit.limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_and_zero_is_no_limit() {
        let rate = Rate::new(8);
        let (first, second) = (rate.take(1).unwrap(), rate.take(1).unwrap());
        assert_eq!((first.limit, first.remaining, first.wait), (2, 1, None));
        assert_eq!((second.remaining, second.reset, second.wait), (0, 15, None));
        let refused = rate.take(1).unwrap();
        let wait = refused.wait.unwrap();
        assert!(wait <= Duration::from_secs_f64(7.5) && wait > Duration::from_secs(5), "{wait:?}");
        assert_eq!(rate.take(2).unwrap().remaining, 1);
        assert_eq!(Rate::new(0).take(1), None);
    }
}
