//! Where a rule is wrong, from what `promtool` says of it. Pure.

use super::Files;

/// Lines that are shown before and after the one that is named.
const AROUND: usize = 3;

/// A rule that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Below the Prometheus folder.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// `cpu_threshold_exceeded/warning/5m`; empty where it is not named.
    pub group: String,
    /// What is wrong, without the place.
    pub message: String,
}

/// A line of the file, and whether it is the one that is named.
pub type Shown = (usize, String, bool);

impl Fault {
    /// The first of `rules/x.yml: 5:11: group "g", rule 1, "r": could not parse expression: …`.
    pub fn find(text: &str) -> Option<Self> {
        let place = text.find("rules/").map(|at| &text[at..])?;
        let (path, rest) = place.split_once(": ")?;
        let path = path.lines().last()?.to_owned();
        let rest = rest.lines().next()?;
        let (at, message) = rest.split_once(": ")?;
        let (line, _) = at.split_once(':')?;
        let line = line.parse().ok()?;
        let group = message.strip_prefix("group \"").and_then(|rest| rest.split_once('"'));
        let group = group.map(|(group, _)| group.to_owned()).unwrap_or_default();
        let message = message.split_once("\": ").map_or(message, |(_, message)| message).to_owned();
        Some(Self { path, line, group, message })
    }

    /// The lines around it, of the files that were refused; empty where the file is none of them.
    pub fn lines(&self, files: &Files) -> Vec<Shown> {
        let Some(text) = files.get(&self.path) else { return Vec::new() };
        let numbered = text.lines().enumerate().map(|(n, line)| (n + 1, line));
        let near = numbered.filter(|(n, _)| n.abs_diff(self.line) <= AROUND);
        near.map(|(n, line)| (n, line.chars().take(400).collect(), n == self.line)).collect()
    }

    /// The rule kind and severity that the group is of, where it is one of ours.
    pub fn kind(&self) -> Option<(&str, &str)> {
        let (kind, rest) = self.group.split_once('/')?;
        let (severity, _) = rest.split_once('/')?;
        Some((kind, severity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_found_in_what_promtool_says() {
        let text = "promtool refused it, so nothing was changed: rules/cpu.yml: 5:11: group \"cpu/warning/5m\", rule 1, \"x\": could not parse expression: 1:6: parse error: unexpected end of input";
        let fault = Fault::find(text).unwrap();
        assert_eq!((fault.path.as_str(), fault.line), ("rules/cpu.yml", 5));
        assert_eq!(fault.kind(), Some(("cpu", "warning")));
        assert_eq!(fault.message, "could not parse expression: 1:6: parse error: unexpected end of input");
        let files = [("rules/cpu.yml".to_owned(), "1\n2\n3\n4\n5\n6\n7\n8\n9\n".to_owned())].into();
        let lines = fault.lines(&files);
        assert_eq!((lines.len(), lines[3].clone()), (7, (5, "5".to_owned(), true)));
        assert!(fault.lines(&Files::new()).is_empty());
        for other in
            ["rules/own.yml: yaml: unmarshal errors:\n  line 1: x", "No Prometheus has it in force.", ""]
        {
            assert_eq!(Fault::find(other), None);
        }
    }
}
