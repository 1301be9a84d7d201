//! Sets of ids as PromQL.

use super::{Set, Term};
use crate::catalogue::RuleKind;
use std::collections::BTreeSet;
use std::fmt::Write;

// With more than 256 alternatives Prometheus 2.48 and later may run a regular expression
// instead of looking the values up (`maxSetMatches` in its model/labels/regexp.go).
pub(in crate::prometheus) const MOST_ALTERNATIVES: usize = 250;

/// The terms as a chain of `or`. Each compares on its own, so that `or` sees only what fires.
pub(super) fn chain(kind: &RuleKind, owner_label: &str, server_label: &str, terms: &[Term]) -> String {
    let mut expr = String::new();
    for term in terms {
        for mut owners in matchers(owner_label, &term.owners) {
            if matches!(term.owners, Set::Except(_)) {
                // Prometheus' own targets have no owner and concern nobody here.
                owners.push(format!("{owner_label}!=\"\""));
            }
            for servers in matchers(server_label, &term.servers) {
                let matchers = [owners.as_slice(), &servers].concat().join(",");
                let or = if expr.is_empty() { "" } else { " or " };
                let operator = kind.direction.operator();
                let value = term.value.unwrap_or(0.0);
                let _ = write!(expr, "{or}({}{{{matchers}}} {operator} {value})", kind.series);
            }
        }
    }
    expr
}

/// The ways to match the set, each a list of matchers that must all hold.
fn matchers(label: &str, set: &Set) -> Vec<Vec<String>> {
    match set {
        Set::In(ids) => chunks(ids).map(|ids| vec![matcher(label, ["=", "=~"], ids)]).collect(),
        Set::Except(ids) => {
            vec![chunks(ids).map(|ids| matcher(label, ["!=", "!~"], ids)).collect()]
        }
    }
}

fn chunks<'a>(ids: &BTreeSet<&'a str>) -> impl Iterator<Item = Vec<&'a str>> {
    let mut ids = ids.iter().copied();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = ids.by_ref().take(MOST_ALTERNATIVES).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// A matcher of one id or of several, by the operator for one or for many.
pub(in crate::prometheus) fn matcher(label: &str, [one, many]: [&str; 2], ids: Vec<&str>) -> String {
    if let [id] = ids.as_slice() {
        return format!("{label}{one}{}", quoted(id));
    }
    let alternatives: Vec<_> = ids.into_iter().map(literal).collect();
    format!("{label}{many}{}", quoted(&alternatives.join("|")))
}

/// Escapes for RE2 just what Go's `regexp.QuoteMeta` does: Prometheus 2 takes any other
/// escape for a sign that the alternatives are no plain words.
pub(in crate::prometheus) fn literal(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for c in id.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A PromQL string. What YAML or an editor could take for a line's end or drop is escaped.
pub(in crate::prometheus) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::kind;

    fn ids<'a>(ids: &[&'a str]) -> BTreeSet<&'a str> {
        ids.iter().copied().collect()
    }

    fn written(terms: &[Term]) -> String {
        chain(kind("cpu_threshold_exceeded").unwrap(), "o", "s", terms)
    }

    #[test]
    fn a_chain_has_a_term_for_each_set() {
        let terms = [
            Term { value: Some(85.0), owners: Set::Except(ids(&["11"])), servers: Set::Except(ids(&[])) },
            Term {
                value: Some(90.5),
                owners: Set::In(ids(&["12", "11"])),
                servers: Set::Except(ids(&["a.b", "c"])),
            },
            Term { value: Some(1.0), owners: Set::Except(ids(&[])), servers: Set::In(ids(&["9"])) },
        ];
        assert_eq!(
            written(&terms),
            r#"(prommgr:cpu_used:percent{o!="11",o!=""} > 85)"#.to_owned()
                + r#" or (prommgr:cpu_used:percent{o=~"11|12",s!~"a\\.b|c"} > 90.5)"#
                + r#" or (prommgr:cpu_used:percent{o!="",s="9"} > 1)"#
        );
    }

    #[test]
    fn ids_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n é\u{2028}"), r#""a\"b\\c\U0000000a é\U00002028""#);
        assert_eq!(literal(r"a.b|c-d"), r"a\.b\|c-d");
        assert_eq!(matcher("s", ["=", "=~"], vec!["a.b"]), r#"s="a.b""#);
    }

    #[test]
    fn large_sets_are_cut() {
        let names: Vec<_> = (0..600).map(|n| n.to_string()).collect();
        let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let excepted = matchers("s", &Set::Except(all.clone()));
        assert_eq!(excepted.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
        assert_eq!(matchers("s", &Set::In(all)).len(), 3);
    }
}
