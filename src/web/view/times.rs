//! Moments and lengths of time.

use jiff::tz::TimeZone;
use jiff::{SpanRound, Timestamp, Unit};

/// A moment, three ways.
#[derive(Clone, Debug)]
pub struct When {
    /// RFC 3339 in UTC.
    pub iso: String,
    /// In the person's zone, to the second.
    pub exact: String,
    /// `3 minutes ago`.
    pub ago: String,
}

impl When {
    /// A moment as somebody in that zone reads it now.
    pub fn new(at: Timestamp, zone: &TimeZone) -> Self {
        let now = Timestamp::now();
        let seconds = now.as_second() - at.as_second();
        let ago = if seconds < 0 {
            format!("in {}", in_nearest(-seconds))
        } else if seconds < 5 {
            "just now".into()
        } else {
            format!("{} ago", lasted(seconds))
        };
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            exact: at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            ago,
        }
    }

    /// The time of day, for what is near: `14:05`.
    pub fn clock(&self) -> &str {
        self.exact.get(11..16).unwrap_or_default()
    }
}

/// A length of time that is still to come, by the nearest whole unit: a link that is open for a week expires
/// `in 7 days`, also a second later. `static/app.js` says the same.
fn in_nearest(seconds: i64) -> String {
    let unit = match seconds {
        ..60 => 1,
        60..86_400 => 60,
        86_400..31_536_000 => 86_400,
        _ => 31_536_000,
    };
    lasted((seconds + unit / 2) / unit * unit)
}

/// A length of time, by its one or two largest units: `40 seconds`, `2 h 5 min`, `3 days`.
pub fn lasted(seconds: i64) -> String {
    let plural = |n: i64, unit: &str| {
        if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") }
    };
    match seconds {
        ..60 => plural(seconds, "second"),
        60..3600 => plural(seconds / 60, "minute"),
        3600..86_400 if seconds % 3600 >= 60 => {
            format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
        }
        3600..86_400 => plural(seconds / 3600, "hour"),
        86_400..31_536_000 => plural(seconds / 86_400, "day"),
        _ => plural(seconds / 31_536_000, "year"),
    }
}

/// Milliseconds as people read them: `340 ms`, `1.2 s`.
pub fn took(milliseconds: i64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{:.1} s", milliseconds as f64 / 1000.0)
    }
}

/// Milliseconds between two moments.
pub fn between(from: Timestamp, to: Timestamp) -> i64 {
    let span = to
        .since(from)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Millisecond).smallest(Unit::Millisecond)));
    span.map_or(0, |span| span.get_milliseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (61, "1 minute"),
            (3600, "1 hour"),
            (7500, "2 h 5 min"),
            (86_400, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(lasted(seconds), text);
        }
    }

    #[test]
    fn what_is_to_come_is_rounded_to_the_nearest() {
        for (seconds, text) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (89, "1 minute"),
            (90, "2 minutes"),
            (3599, "1 hour"),
            (30 * 60 - 1, "30 minutes"),
            (2 * 3600 - 1, "2 hours"),
            (86_399, "1 day"),
            (7 * 86_400 - 1, "7 days"),
            (6 * 86_400 + 3600, "6 days"),
            (365 * 86_400 - 1, "1 year"),
        ] {
            assert_eq!(in_nearest(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_moment_is_told_in_the_zone_of_who_reads_it() {
        let when =
            When::new("2026-11-22T13:05:09Z".parse().unwrap(), &TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!((when.exact.as_str(), when.clock()), ("2026-11-22 14:05:09 CET", "14:05"));
    }
}
