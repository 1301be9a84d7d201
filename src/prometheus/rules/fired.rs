//! Reading back what [`super::promql`] writes: which threshold an alert fired at.

use std::collections::BTreeMap;

use crate::catalogue::RuleKind;

/// The value in the term of a rule's expression that an alert with these labels fired by. `None` where it is no
/// expression of ours, or none of its terms is for them.
pub fn fired_at(expr: &str, kind: &RuleKind, labels: &BTreeMap<&str, &str>) -> Option<f64> {
    let mut rest = expr;
    loop {
        rest = rest.strip_prefix('(')?.strip_prefix(kind.series.as_str())?.strip_prefix('{')?;
        let mut all = true;
        loop {
            let (holds, after) = matcher(rest, labels)?;
            all &= holds;
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix("} ")?;
                    break;
                }
            }
        }
        rest = rest.strip_prefix(kind.direction.operator())?.strip_prefix(' ')?;
        let (value, after) = rest.split_once(')')?;
        if all {
            return value.parse().ok();
        }
        rest = after.strip_prefix(" or ")?;
    }
}

/// Whether the matcher at the beginning holds, and what follows it.
fn matcher<'a>(text: &'a str, labels: &BTreeMap<&str, &str>) -> Option<(bool, &'a str)> {
    let (name, rest) = text.split_at(text.find(['=', '!'])?);
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator))?;
    let (value, after) = unquoted(rest.strip_prefix(operator)?)?;
    let label = labels.get(name).copied().unwrap_or_default();
    let found = if operator.ends_with('~') {
        alternatives(&value).iter().any(|alternative| alternative == label)
    } else {
        value == label
    };
    Some((found != operator.starts_with('!'), after))
}

/// The string at the beginning, as Go and so Prometheus quotes it, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let c = rest.chars().next()?;
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '"' => return Some((value, rest)),
            '\\' => {
                let escape = rest.chars().next()?;
                rest = rest.get(escape.len_utf8()..)?;
                let digits = match escape {
                    '"' | '\\' => {
                        value.push(escape);
                        continue;
                    }
                    'n' => {
                        value.push('\n');
                        continue;
                    }
                    't' => {
                        value.push('\t');
                        continue;
                    }
                    'u' => 4,
                    'U' => 8,
                    // no id has the others
                    _ => return None,
                };
                let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
                value.push(char::from_u32(code)?);
                rest = rest.get(digits..)?;
            }
            c => value.push(c),
        }
    }
}

/// The words of an alternation of literals.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c == '|' {
            words.push(String::new());
        } else if let (Some(c), Some(word)) =
            (if c == '\\' { chars.next() } else { Some(c) }, words.last_mut())
        {
            word.push(c);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::promql::chain;
    use super::super::{Set, Term};
    use super::*;
    use crate::catalogue::kind;

    #[test]
    fn what_is_written_is_read_back() {
        let cpu = kind("cpu_threshold_exceeded").unwrap();
        let ids = |ids: &[&'static str]| ids.iter().copied().collect();
        let terms = [
            Term {
                value: Some(85.0),
                owners: Set::Except(ids(&["11", "a) or (b", "e\"\\|\n\u{2028}"])),
                servers: Set::Except(ids(&["9"])),
            },
            Term {
                value: Some(90.5),
                owners: Set::In(ids(&["11", "e\"\\|\n\u{2028}"])),
                servers: Set::Except(ids(&["a.b", "c"])),
            },
            Term { value: Some(1.0), owners: Set::Except(ids(&[])), servers: Set::In(ids(&["9", "a.b"])) },
        ];
        let expr = chain(cpu, "o", "s", &terms);
        let fired = |owner, server| fired_at(&expr, cpu, &[("o", owner), ("s", server)].into());
        assert_eq!(fired("12", "1"), Some(85.0));
        assert_eq!(fired("11", "1"), Some(90.5));
        assert_eq!(fired("e\"\\|\n\u{2028}", "1"), Some(90.5));
        assert_eq!(fired("11", "a.b"), Some(1.0));
        assert_eq!(fired("12", "9"), Some(1.0));
        assert_eq!(fired("a) or (b", "aab"), None, "it is off there");
        assert_eq!(fired("11", "c"), None, "it is off there");
        // a cut one, and those of others
        assert_eq!(fired_at(&expr[..expr.len() - 30], cpu, &[("o", "12"), ("s", "9")].into()), None);
        for other in ["", "up == 0", "(up{o!=\"\"} == 0)", "(prommgr:cpu_used:percent{o=\"1", "("] {
            assert_eq!(fired_at(other, cpu, &BTreeMap::new()), None, "{other}");
        }
    }
}
