//! The identity of an alert: a hash of its labels, the same that Alertmanager shows.

use std::collections::BTreeMap;

const OFFSET: u64 = 14_695_981_039_346_656_037;
const PRIME: u64 = 1_099_511_628_211;
/// Ends each name and value; it occurs in no UTF-8 text.
const SEPARATOR: u8 = 0xFF;

/// Hashes labels as Prometheus does: FNV-1a of 64 bits over the sorted names and values
/// (prometheus/common, `model/signature.go`).
pub fn of(labels: &BTreeMap<String, String>) -> u64 {
    labels
        .iter()
        .flat_map(|(name, value)| [name, value])
        .flat_map(|text| text.bytes().chain([SEPARATOR]))
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Writes a fingerprint as Alertmanager does, with 16 hexadecimal digits.
pub fn hex(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
        hex(of(&labels.collect()))
    }

    /// The answers are those of Alertmanager 0.25 to `GET /api/v2/alerts`.
    #[test]
    fn alertmanager_agrees() {
        assert_eq!(print(&[("a", "b")]), "d2b371819297f98a");
        let sample = [
            ("alertname", "service_down"),
            ("cloudnet_owner_id", "11"),
            ("cloudnet_server_id", "4386"),
            ("instance", "1.2.3.4:9100"),
            ("job", "node"),
        ];
        assert_eq!(print(&sample), "078a4a5568adbf6b");
        let odd = [
            ("b", "x"),
            ("alertname", "Größe ✓ \"q\"\\n"),
            ("_", "long long value, with spaces"),
            ("B", "ÿ"),
        ];
        assert_eq!(print(&odd), "15662bdbea17435a");
    }
}
