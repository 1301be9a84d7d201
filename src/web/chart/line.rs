//! A value over a time, against its limit.

use std::fmt::Write;

use super::{Like, escaped};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// What is to be drawn; times in seconds.
pub struct Line<'a> {
    /// What it is called, for those who do not see it.
    pub title: &'a str,
    pub from: f64,
    pub to: f64,
    /// Between two points; where more is missing, the line is broken.
    pub step: f64,
    pub points: &'a [(f64, f64)],
    /// What the upper edge stands for; the lower one is 0.
    pub top: f64,
    /// A value holds until the next one, with nothing between them.
    pub stairs: bool,
    pub limit: Option<f64>,
    /// Whiles that stand out.
    pub shades: &'a [(f64, f64)],
    pub like: Like,
}

impl Line<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            r#"<svg class="chart course" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"><title>{}</title>"#,
            escaped(self.title)
        );
        for (from, to) in self.shades {
            let (from, to) = (self.x(*from), self.x(*to));
            let _ = write!(
                svg,
                r#"<rect class="shade {}" x="{from:.1}" y="0" width="{:.1}" height="{HEIGHT}"/>"#,
                self.like.class(),
                // a short one is seen, too
                (to - from).max(2.0)
            );
        }
        if let Some(limit) = self.limit {
            let y = self.y(limit);
            let _ = write!(svg, r#"<path class="limit" d="M0 {y:.1}H{WIDTH}"/>"#);
        }
        let _ = write!(svg, r#"<path class="value" d="{}"/></svg>"#, self.path());
        svg
    }

    fn path(&self) -> String {
        let mut path = String::new();
        let mut last: Option<f64> = None;
        for &(at, value) in self.points {
            let (x, y) = (self.x(at), self.y(value));
            let _ = match last.filter(|last| at - last <= self.step * 1.5) {
                // a point without neighbours is a dot
                None => write!(path, "M{x:.1} {y:.1}h0"),
                Some(_) if self.stairs => write!(path, "H{x:.1}V{y:.1}"),
                Some(_) => write!(path, "L{x:.1} {y:.1}"),
            };
            last = Some(at);
        }
        path
    }

    fn x(&self, at: f64) -> f64 {
        ((at - self.from) / (self.to - self.from).max(1.0)).clamp(0.0, 1.0) * WIDTH
    }

    /// A line along the edge keeps its whole width.
    fn y(&self, value: f64) -> f64 {
        const EDGE: f64 = 2.0;
        HEIGHT - EDGE - (value / self.top).clamp(0.0, 1.0) * (HEIGHT - 2.0 * EDGE)
    }
}

/// The next round number, for the upper edge.
pub fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|round| *round >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line<'_> {
        let (from, to, step, top) = (0.0, 100.0, 10.0, 100.0);
        let (limit, shades, like) = (Some(50.0), &[(20.0, 40.0)], Like::Critical);
        Line { title: "<CPU>", from, to, step, points, top, stairs: false, limit, shades, like }
    }

    #[test]
    fn a_line_breaks_where_values_are_missing() {
        let points = [(0.0, 0.0), (10.0, 100.0), (30.0, 50.0), (60.0, 1000.0), (70.0, 50.0)];
        let svg = line(&points).svg();
        assert!(svg.contains("<title>&lt;CPU&gt;</title>"), "{svg}");
        assert!(
            svg.contains(r#"<rect class="shade critical" x="200.0" y="0" width="200.0" height="200"/>"#),
            "{svg}"
        );
        assert!(svg.contains(r#"<path class="limit" d="M0 100.0H1000"/>"#), "{svg}");
        let path = "M0.0 198.0h0L100.0 2.0M300.0 100.0h0M600.0 2.0h0L700.0 100.0";
        assert!(svg.contains(&format!(r#"<path class="value" d="{path}"/>"#)), "{svg}");
        let svg = Line { stairs: true, limit: None, ..line(&points[..2]) }.svg();
        assert!(svg.contains(r#"d="M0.0 198.0h0H100.0V2.0""#) && !svg.contains("limit"), "{svg}");
    }

    #[test]
    fn what_lies_beside_is_cut_and_what_is_short_is_seen() {
        let svg = Line { shades: &[(-50.0, 0.0)], ..line(&[]) }.svg();
        assert!(
            svg.contains(r#"x="0.0" y="0" width="2.0""#) && svg.contains(r#"<path class="value" d=""/>"#)
        );
    }

    #[test]
    fn edges_are_round() {
        for (value, round) in [(0.0, 1.0), (0.21, 0.25), (1.0, 1.0), (4.4, 5.0), (9.9, 10.0), (17.6, 20.0)] {
            assert!((round_up(value) - round).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }
}
