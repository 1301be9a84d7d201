//! Numbers become pictures: pure functions to SVG. Colours come by class and what is worse is also taller, so that
//! nothing is told by colour alone; the same in words is beside each picture.

mod line;

use std::fmt::Write;

use jiff::Timestamp;

pub use self::line::{Line, round_up};
use super::{counted, lasted};

/// How many of something began in a time, by how bad they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// The time, in words.
    pub label: String,
    pub critical: i64,
    /// Those of any other severity.
    pub other: i64,
}

impl Bar {
    /// What it says.
    pub fn words(&self) -> String {
        match (self.critical, self.other) {
            (0, 0) => "none".into(),
            (critical, 0) => format!("{critical} critical"),
            (0, other) => counted(other, "warning"),
            (critical, other) => format!("{critical} critical, {}", counted(other, "warning")),
        }
    }

    fn all(&self) -> i64 {
        self.critical + self.other
    }
}

/// Bars beside each other, critical ones at the bottom.
pub struct Bars {
    pub svg: String,
    pub bars: Vec<Bar>,
    /// The most that one bar has.
    pub most: i64,
}

impl Bars {
    /// The picture of these bars.
    pub fn new(bars: Vec<Bar>) -> Self {
        const HEIGHT: i64 = 100;
        let most = bars.iter().map(Bar::all).max().unwrap_or_default();
        let mut svg = format!(
            r#"<svg class="chart bars" viewBox="0 0 {} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">"#,
            bars.len().max(1) * 10
        );
        // one that is there is seen
        let tall = |n: i64| if n == 0 { 0 } else { (n * HEIGHT / most.max(1)).max(2) };
        for (index, bar) in bars.iter().enumerate() {
            let x = index * 10;
            let (critical, other) = (tall(bar.critical), tall(bar.other));
            let _ = write!(svg, "<g><title>{}: {}</title>", escaped(&bar.label), bar.words());
            let _ = write!(svg, r#"<rect class="room" x="{x}" y="0" width="10" height="{HEIGHT}"/>"#);
            for (class, y, height) in [
                ("critical", HEIGHT - critical, critical),
                ("warning", (HEIGHT - critical - other).max(0), other),
            ] {
                if height > 0 {
                    let _ = write!(
                        svg,
                        r#"<rect class="{class}" x="{x}.5" y="{y}" width="9" height="{height}"/>"#
                    );
                }
            }
            svg.push_str("</g>");
        }
        svg.push_str("</svg>");
        Self { svg, bars, most }
    }
}

/// What something was like for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Like {
    Unknown,
    Ok,
    Warning,
    Critical,
}

impl Like {
    /// Of an alert of that severity.
    pub fn firing(severity: &str) -> Self {
        if severity == "critical" { Self::Critical } else { Self::Warning }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Of 12, from the bottom.
    fn height(self) -> u32 {
        match self {
            Self::Unknown => 2,
            Self::Ok => 4,
            Self::Warning => 8,
            Self::Critical => 12,
        }
    }
}

/// A while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
    pub like: Like,
}

/// A strip of time.
pub struct Strip {
    pub svg: String,
    /// `Critical for 2 hours, warning for 5 minutes`.
    pub words: String,
}

/// Pieces that a strip is cut into: of 24 hours, five minutes each.
const PIECES: i64 = 288;

impl Strip {
    /// What was the worst in each piece of the time; a piece that no span touches is `else_`.
    pub fn new(from: Timestamp, to: Timestamp, spans: &[Span], else_: Like) -> Self {
        let length = (to.as_second() - from.as_second()).max(1);
        let mut pieces = [else_; PIECES as usize];
        let place = |at: Timestamp| (at.as_second() - from.as_second()) * PIECES / length;
        for span in spans.iter().filter(|span| span.from < to && span.to >= from) {
            let (first, last) = (place(span.from).max(0), place(span.to).min(PIECES - 1));
            for piece in first..=last {
                if let Some(piece) = usize::try_from(piece).ok().and_then(|piece| pieces.get_mut(piece)) {
                    *piece = span.like.max(*piece);
                }
            }
        }
        let mut svg = format!(
            r#"<svg class="chart strip" viewBox="0 0 {PIECES} 12" preserveAspectRatio="none" aria-hidden="true">"#
        );
        let mut x = 0;
        for run in pieces.chunk_by(|one, next| one == next) {
            let (width, height) = (run.len(), run[0].height());
            let _ = write!(
                svg,
                r#"<rect class="{}" x="{x}" y="{}" width="{width}" height="{height}"/>"#,
                run[0].class(),
                12 - height
            );
            x += width;
        }
        svg.push_str("</svg>");
        Self { svg, words: words(&pieces, length) }
    }
}

fn words(pieces: &[Like], length: i64) -> String {
    let share = |like: Like| {
        let count = i64::try_from(pieces.iter().filter(|piece| **piece == like).count()).unwrap_or_default();
        (count > 0).then(|| lasted((count * length / PIECES).max(1)))
    };
    let parts: Vec<String> = [(Like::Critical, "critical"), (Like::Warning, "warning")]
        .into_iter()
        .filter_map(|(like, word)| Some(format!("{word} for about {}", share(like)?)))
        .collect();
    match (parts.is_empty(), share(Like::Ok).is_some()) {
        (false, _) => parts.join(", "),
        (true, true) => "no alert".into(),
        (true, false) => "not known".into(),
    }
}

/// How often something may begin within a day that is calm.
pub const FLAPS: i64 = 5;

/// The most beginnings within 24 hours, where they are so many that it flaps.
pub fn flaps(starts: &[Timestamp]) -> Option<usize> {
    let mut seconds: Vec<i64> = starts.iter().map(|start| start.as_second()).collect();
    seconds.sort_unstable();
    let within = |from: &i64| seconds.iter().filter(|at| (*from..from + 86_400).contains(at)).count();
    seconds.iter().map(within).max().filter(|most| i64::try_from(*most).is_ok_and(|most| most >= FLAPS))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    #[test]
    fn bars_are_as_tall_as_their_numbers() {
        let bar = |critical, other| Bar { label: "<day>".into(), critical, other };
        let bars = Bars::new(vec![bar(0, 0), bar(1, 3), bar(0, 2)]);
        assert_eq!(bars.most, 4);
        assert!(
            bars.svg.contains(r#"<rect class="critical" x="10.5" y="75" width="9" height="25"/>"#),
            "{}",
            bars.svg
        );
        assert!(bars.svg.contains(r#"<rect class="warning" x="10.5" y="0" width="9" height="75"/>"#));
        assert!(bars.svg.contains("<title>&lt;day&gt;: 1 critical, 3 warnings</title>"));
        assert_eq!(bars.svg.matches("<rect class=\"critical\"").count(), 1);
        assert!(Bars::new(Vec::new()).svg.ends_with("></svg>"));
    }

    #[test]
    fn a_strip_shows_the_worst_of_each_time() {
        let span = |from: &str, to: &str, like| Span { from: at(from), to: at(to), like };
        let spans = [
            span("20T23:00", "21T02:00", Like::Warning),
            span("21T01:00", "21T01:02", Like::Critical),
            span("21T12:00", "23T00:00", Like::Critical),
            span("19T12:00", "19T13:00", Like::Critical),
        ];
        let strip = Strip::new(at("21T00:00"), at("22T00:00"), &spans, Like::Ok);
        let rect = |class: &str, x, width, height| {
            format!(
                r#"<rect class="{class}" x="{x}" y="{}" width="{width}" height="{height}"/>"#,
                12 - height
            )
        };
        let expected = [
            rect("warning", 0, 12, 8),
            rect("critical", 12, 1, 12),
            rect("warning", 13, 12, 8),
            rect("ok", 25, 119, 4),
            rect("critical", 144, 144, 12),
        ];
        assert!(strip.svg.contains(&expected.concat()), "{}", strip.svg);
        assert_eq!(strip.words, "critical for about 12 h 5 min, warning for about 2 hours");
        let none = |like| Strip::new(at("21T00:00"), at("22T00:00"), &[], like).words;
        assert_eq!([none(Like::Ok), none(Like::Unknown)], ["no alert", "not known"]);
    }

    #[test]
    fn five_beginnings_within_a_day_flap() {
        let hours = |hours: &[i64]| -> Vec<Timestamp> {
            hours.iter().map(|hour| Timestamp::from_second(hour * 3600).unwrap()).collect()
        };
        assert_eq!(flaps(&hours(&[0, 6, 12, 18, 24])), None);
        assert_eq!(flaps(&hours(&[100, 0, 6, 12, 18, 23])), Some(5));
        assert_eq!(flaps(&[]), None);
    }
}
