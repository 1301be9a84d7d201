//! Servers as a table (RFC 4180), and what spreadsheets make of it: a byte order mark, semicolons or tabs, other ends of lines,
//! apostrophes before what looks like a formula.

use super::Servers;
use crate::store::servers::{Fault, Line};

/// Every column, in the order in which it is written.
pub const COLUMNS: [&str; 11] = [
    "owner_external_id",
    "external_id",
    "name",
    "address",
    "port",
    "job",
    "scheme",
    "metrics_path",
    "enabled",
    "labels",
    "comment",
];

/// What would be run as a formula where a spreadsheet opens it.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// A record with its line break, which a spreadsheet takes for text throughout.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (n, text) in cells.into_iter().enumerate() {
        if n > 0 {
            line.push(',');
        }
        let guard = if guarded(text) { "'" } else { "" };
        if text.contains(['"', ',', ';', '\r', '\n']) {
            line.extend(["\"", guard, &text.replace('"', "\"\""), "\""]);
        } else {
            line.extend([guard, text]);
        }
    }
    line.push_str("\r\n");
    line
}

/// Whether an apostrophe goes before it: a formula, or what has such an apostrophe of its own.
fn guarded(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
}

/// A cell without the apostrophe that [`record`] put before it.
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if guarded(rest) => rest,
        _ => cell,
    }
}

pub(super) fn read(text: &str) -> Result<Servers, String> {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let many = |separator: &char| header.matches(*separator).count();
    let separator = [',', ';', '\t'].into_iter().rev().max_by_key(many).unwrap_or(',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(separator).unwrap_or(b','))
        .flexible(true)
        .from_reader(text.as_bytes());
    let names: Vec<String> = reader
        .headers()
        .map_err(|error| format!("It is no table: {error}."))?
        .iter()
        .map(|name| unguarded(name).trim().to_lowercase())
        .collect();
    if let Some(odd) = names.iter().find(|name| !name.is_empty() && !COLUMNS.contains(&name.as_str())) {
        return Err(format!("It has a column `{odd}`. There are: {}.", COLUMNS.join(", ")));
    }
    for needed in ["name", "address"] {
        if !names.iter().any(|name| name == needed) {
            return Err(format!("It has no column `{needed}`. The first line names the columns."));
        }
    }
    let mut servers = Servers::default();
    let mut lines = Lines { text, byte: 0, line: 1 };
    for record in reader.into_records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let why = "It cannot be read.".to_owned();
                servers.faults.push(Fault { place: lines.place(error.position()), why });
                continue;
            }
        };
        // a spreadsheet leaves rows of nothing
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let place = lines.place(record.position());
        if record.len() > names.len() {
            let why = format!("It has {} cells, and there are {} columns.", record.len(), names.len());
            servers.faults.push(Fault { place, why });
            continue;
        }
        let mut line = Line { place, ..Line::default() };
        for (name, cell) in names.iter().zip(&record) {
            if let Some(field) = field(&mut line, name) {
                *field = Some(unguarded(cell).to_owned());
            }
        }
        servers.lines.push(line);
    }
    Ok(servers)
}

/// Counts lines up to a record. The reader's own count is one behind after `\r\n`, and at lines of nothing.
struct Lines<'a> {
    text: &'a str,
    byte: usize,
    line: usize,
}

impl Lines<'_> {
    fn place(&mut self, position: Option<&csv::Position>) -> String {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.byte);
        let bytes = self.text.as_bytes();
        let rest = bytes.get(begin..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = bytes.get(self.byte..begin + blank).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.byte = self.byte.max(begin + blank);
        format!("line {}", self.line)
    }
}

fn field<'a>(line: &'a mut Line, column: &str) -> Option<&'a mut Option<String>> {
    Some(match column {
        "owner_external_id" => &mut line.owner,
        "external_id" => &mut line.external_id,
        "name" => &mut line.name,
        "address" => &mut line.address,
        "port" => &mut line.port,
        "job" => &mut line.job,
        "scheme" => &mut line.scheme,
        "metrics_path" => &mut line.metrics_path,
        "enabled" => &mut line.enabled,
        "labels" => &mut line.labels,
        "comment" => &mut line.comment,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let expected = Line {
            place: "line 2".into(),
            owner: some("11"),
            name: some("web 1"),
            address: some("10.0.0.5"),
            labels: some("rack=7\nenv=prod"),
            comment: some("=1+1"),
            ..Line::default()
        };
        for (separator, end) in [(",", "\n"), (";", "\r\n"), ("\t", "\r\n")] {
            let lines = [
                ["Name", "address ", "owner_external_id", "labels", "comment"],
                ["web 1", "10.0.0.5", "11", "\"rack=7\nenv=prod\"", "'=1+1"],
                ["", "", "", "", ""],
            ];
            let text = lines.map(|cells| cells.join(separator)).join(end);
            let read = super::super::read("x.csv", format!("\u{feff}{text}").as_bytes(), LABELS).unwrap();
            assert_eq!((read.lines, read.faults), (vec![expected.clone()], vec![]), "{text:?}");
        }
    }

    #[test]
    fn cells_stay_cells() {
        for (text, cell) in [
            ("", ""),
            ("web 1", "web 1"),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("'=1+1", "''=1+1"),
            ("'tis", "'tis"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            (
                "=HYPERLINK(\"http://evil.example\",\"a\")",
                "\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"a\"\")\"",
            ),
            ("a=1", "a=1"),
        ] {
            assert_eq!(record([text, "x"]), format!("{cell},x\r\n"));
        }
    }

    const LABELS: super::super::Labels<'static> = super::super::Labels { owner: "o", server: "s" };

    #[test]
    fn what_is_no_table_of_servers_is_refused() {
        for (text, why) in [
            ("", "no column `name`"),
            ("name\nweb", "no column `address`"),
            ("name,address,colour\n", "a column `colour`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let faults = read("name,address\nweb,10.0.0.5,and more\nmail,10.0.0.6\n").unwrap();
        assert_eq!(
            faults.faults,
            [Fault { place: "line 2".into(), why: "It has 3 cells, and there are 2 columns.".into() }]
        );
        assert_eq!(faults.lines.len(), 1);
        let apart = read("name,address\r\n\r\na,\"1\r\n2\"\r\nb,2\r\n\r\n\r\nc,3").unwrap();
        let places: Vec<_> = apart.lines.iter().map(|line| line.place.as_str()).collect();
        assert_eq!(places, ["line 3", "line 5", "line 8"]);
        let latin = super::super::read("x.csv", b"name,address\nM\xfcnchen,10.0.0.5\n", LABELS);
        assert!(latin.unwrap_err().contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(cells in prop::collection::vec("['=+@ -]{0,3}[a-z\",;\n\r\t']{0,6}", 11)) {
            // a column of a name, so that no line is empty
            let mut cells = cells;
            cells[2].insert(0, 'n');
            let text = record(COLUMNS) + &record(cells.iter().map(String::as_str));
            let read = read(&text).unwrap();
            prop_assert_eq!(read.faults, vec![]);
            let mut line = read.lines.into_iter().next().unwrap();
            for (name, cell) in COLUMNS.iter().zip(&cells) {
                prop_assert_eq!(field(&mut line, name).unwrap().as_ref(), Some(cell), "{}", name);
            }
        }
    }
}
