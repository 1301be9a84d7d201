//! How long Alertmanager may keep what is new in a group to itself, read from its configuration. Pure.

use std::time::Duration;

/// What it waits between two notifications of a group where its configuration says nothing.
const GROUP_INTERVAL: Duration = Duration::from_secs(300);

/// The longest `group_interval` in a configuration as Alertmanager shows it. The default counts only where
/// none is named: that of the root is inherited.
pub(super) fn group_interval(config: &str) -> Duration {
    let named = config.lines().filter_map(|line| {
        let value = line.trim().trim_start_matches("- ").strip_prefix("group_interval:")?;
        seconds(value.trim())
    });
    named.max().map_or(GROUP_INTERVAL, Duration::from_secs)
}

/// A length of time as Prometheus writes it, `1h30m`; milliseconds are left out.
fn seconds(text: &str) -> Option<u64> {
    let (mut sum, mut number, mut rest) = (0, String::new(), text.chars().peekable());
    while let Some(c) = rest.next() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'm' if rest.peek() == Some(&'s') => {
                rest.next();
                0
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            'y' => 31_536_000,
            _ => return None,
        };
        sum += number.parse::<u64>().ok()?.checked_mul(unit)?;
        number.clear();
    }
    number.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_interval_counts() {
        let config = "route:\n  receiver: x\n  group_interval: 30s\n  routes:\n  - group_interval: 1h30m\n    receiver: y\n";
        assert_eq!(group_interval(config), Duration::from_secs(5400));
        assert_eq!(group_interval("route:\n  receiver: x\n"), GROUP_INTERVAL);
        assert_eq!(
            (seconds("1m500ms"), seconds("1d"), seconds("5"), seconds("x")),
            (Some(60), Some(86_400), None, None)
        );
    }
}
