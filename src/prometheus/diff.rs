//! The difference of files, for people. Pure.

use similar::{ChangeTag, TextDiff};

/// Lines of one file's difference that are shown.
const MOST_LINES: usize = 400;
/// Bytes of a file beyond which lines are compared only by set, not in order.
const LARGE: usize = 4 << 20;

/// One file before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    pub path: String,
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    pub added: i64,
    pub removed: i64,
    pub lines: Vec<Line>,
    /// There is more than is shown.
    pub cut: bool,
}

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `add`, `del`, `same` or `hunk`.
    pub kind: &'static str,
    /// With its leading `+`, `-` or space.
    pub text: String,
}

/// One file's difference with three lines around each change.
pub fn file(path: &str, before: Option<&str>, after: &str) -> FileDiff {
    let change = match before {
        None => "added",
        Some(_) if path.starts_with("targets/") && after == super::targets::EMPTY => "removed",
        Some(_) => "changed",
    };
    let mut diff =
        FileDiff { path: path.to_owned(), change, added: 0, removed: 0, lines: Vec::new(), cut: false };
    let before = before.unwrap_or("");
    if before.len() + after.len() > LARGE {
        diff.cut = true;
        return diff;
    }
    let lines = TextDiff::from_lines(before, after);
    for group in lines.grouped_ops(3) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let (old, new) = (
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            );
            let text = format!("@@ -{},{} +{},{} @@", old.start + 1, old.len(), new.start + 1, new.len());
            push(&mut diff, "hunk", text);
        }
        for change in group.iter().flat_map(|op| lines.iter_changes(op)) {
            let (kind, sign) = match change.tag() {
                ChangeTag::Insert => ("add", '+'),
                ChangeTag::Delete => ("del", '-'),
                ChangeTag::Equal => ("same", ' '),
            };
            match kind {
                "add" => diff.added += 1,
                "del" => diff.removed += 1,
                _ => {}
            }
            push(&mut diff, kind, format!("{sign}{}", change.value().trim_end_matches('\n')));
        }
    }
    diff
}

fn push(diff: &mut FileDiff, kind: &'static str, text: String) {
    if diff.lines.len() < MOST_LINES {
        diff.lines.push(Line { kind, text });
    } else {
        diff.cut = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_shown_with_its_surroundings() {
        let before = "a\nb\nc\nd\ne\nf\ng\n";
        let diff = file("rules/x.yml", Some(before), &before.replace("d\n", "D\n"));
        let texts: Vec<_> = diff.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["@@ -1,7 +1,7 @@", " a", " b", " c", "-d", "+D", " e", " f", " g"]);
        assert_eq!((diff.change, diff.added, diff.removed, diff.cut), ("changed", 1, 1, false));
        assert_eq!(file("targets/owner-1.json", Some("[x]\n"), "[]\n").change, "removed");
        assert_eq!(file("targets/owner-1.json", None, "[]\n").change, "added");
        let long = "x\n".repeat(1000);
        let cut = file("a", None, &long);
        assert_eq!((cut.added, cut.lines.len(), cut.cut), (1000, MOST_LINES, true));
    }
}
