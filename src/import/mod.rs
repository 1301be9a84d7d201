//! Servers as files say them: a table for spreadsheets, Prometheus' file_sd files, and the static targets of a
//! `prometheus.yml`. Pure; what they would change is `store::servers::plan`'s to find out.

mod discovery;
mod sheet;

pub use self::sheet::{COLUMNS, record, unguarded};
use crate::store::servers::{Fault, Line};

/// What stands in a file.
#[derive(Debug, Default, PartialEq)]
pub struct Servers {
    pub lines: Vec<Line>,
    /// What cannot be taken, and why.
    pub faults: Vec<Fault>,
}

/// The labels that name owner and server in the targets of a file.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    pub owner: &'a str,
    pub server: &'a str,
}

/// Reads a file, by what it looks like: JSON and YAML as Prometheus has them, else a table with a header. The error is of the
/// file as a whole.
pub fn read(name: &str, bytes: &[u8], labels: Labels<'_>) -> Result<Servers, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "It is not UTF-8. In a spreadsheet, save it as “CSV UTF-8”.".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    let ends = |ending: &str| name.to_lowercase().ends_with(ending);
    if ends(".json") || ends(".yml") || ends(".yaml") {
        return discovery::read(text, labels);
    }
    if !ends(".csv") && text.trim_start().starts_with(['[', '{']) {
        return discovery::read(text, labels);
    }
    sheet::read(text)
}
