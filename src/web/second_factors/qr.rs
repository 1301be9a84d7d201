//! A QR code as an SVG path: no style in it, so that the CSP has nothing against it.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// The light margin that readers need, in modules.
const QUIET: usize = 4;

/// What stands in the SVG.
pub struct Qr {
    /// Width and height of the view box, in modules.
    pub size: usize,
    /// The dark modules.
    pub path: String,
}

impl Qr {
    /// Of a text of at most 2,331 bytes.
    pub fn new(text: &str) -> Result<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(code.width()).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|left, right| left == right) {
                if run[0] == Color::Dark {
                    let (x, y, length) = (x + QUIET, y + QUIET, run.len());
                    write!(path, "M{x} {y}h{length}v1h-{length}z").map_err(Error::internal)?;
                }
                x += run.len();
            }
        }
        Ok(Self { size: code.width() + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the path again.
    fn dark(qr: &Qr) -> Vec<(usize, usize)> {
        let mut modules = Vec::new();
        for run in qr.path.split('M').skip(1) {
            let (start, rest) = run.split_once('h').unwrap();
            let (x, y) = start.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            modules.extend((x..x + length).map(|x| (x, y)));
        }
        modules
    }

    #[test]
    fn the_path_is_the_code_with_a_margin() {
        let text = "otpauth://totp/prommgr:alice%40prommgr.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=prommgr";
        let qr = Qr::new(text).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        assert_eq!(qr.size, code.width() + 8);
        let mut expected = Vec::new();
        for y in 0..code.width() {
            for x in 0..code.width() {
                if code[(x, y)] == Color::Dark {
                    expected.push((x + 4, y + 4));
                }
            }
        }
        assert_eq!(dark(&qr), expected);
    }
}
