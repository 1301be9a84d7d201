//! The history of alerts, and one of them.

mod course;
mod drawn;
mod figures;
mod files;
mod filters;
mod groups;
mod handling;
mod list;
mod live;
mod saved;
mod show;
mod value;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

pub(super) use self::drawn::top;
pub use self::figures::figures;
pub use self::files::{csv, json};
pub use self::filters::Filters;
pub use self::handling::{acknowledge, erase, unacknowledge, write};
pub use self::list::list;
pub use self::live::live;
pub use self::saved::{remove as remove_saved, rename as rename_saved, save, saved};
pub use self::show::show;
pub use self::value::value;

/// Midnight at the beginning of a day, or of one some days later; `None` for what is no day.
pub(super) fn day(text: &str, later: i32, zone: &TimeZone) -> Option<Timestamp> {
    let date: Date = text.trim().parse().ok()?;
    let date = date.checked_add(later.days()).ok()?;
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}
