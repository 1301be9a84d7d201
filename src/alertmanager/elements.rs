//! Cuts a JSON array of objects into its elements while it arrives, so that an answer of any length needs the
//! memory of its longest element. Pure.

use thiserror::Error;

/// The longest element, in bytes.
const LONGEST: usize = 4 << 20;

/// What came is no array of objects.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("not a list of objects")]
    NoList,
    #[error("an element of more than 4 MB")]
    TooLong,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    /// Between elements.
    Within,
    Element,
    Behind,
}

/// The state between two pieces of the text.
#[derive(Debug, Default)]
pub struct Elements {
    at: At,
    depth: usize,
    quoted: bool,
    escaped: bool,
    element: Vec<u8>,
}

impl Elements {
    /// Takes the next piece, and hands out each element that it completes. Whether an element is JSON is
    /// for who parses it to find out.
    pub fn feed(&mut self, piece: &[u8], mut found: impl FnMut(Vec<u8>)) -> Result<(), Malformed> {
        for &byte in piece {
            match (&self.at, byte) {
                (At::Element, _) => {
                    self.element.push(byte);
                    if self.element.len() > LONGEST {
                        return Err(Malformed::TooLong);
                    }
                    if self.ends(byte) {
                        self.at = At::Within;
                        found(std::mem::take(&mut self.element));
                    }
                }
                (_, b' ' | b'\t' | b'\r' | b'\n') | (At::Within, b',') => {}
                (At::Before, b'[') => self.at = At::Within,
                (At::Within, b'{') => {
                    self.at = At::Element;
                    self.depth = 1;
                    self.element.push(byte);
                }
                (At::Within, b']') => self.at = At::Behind,
                _ => return Err(Malformed::NoList),
            }
        }
        Ok(())
    }

    /// Whether the array has ended: one that broke off in the middle says nothing of what is not in it.
    pub fn is_whole(&self) -> bool {
        self.at == At::Behind
    }

    fn ends(&mut self, byte: u8) -> bool {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, size: usize) -> (Result<Vec<String>, Malformed>, bool) {
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            let fed = elements.feed(piece, |element| found.push(String::from_utf8(element).unwrap()));
            if let Err(malformed) = fed {
                return (Err(malformed), false);
            }
        }
        (Ok(found), elements.is_whole())
    }

    #[test]
    fn pieces_of_any_size_give_the_same_elements() {
        let text = r#" [ {"a":"}]\"{é","b":[{}]} ,{"c":{"d":"\\"}}, {} ] "#;
        for size in 1..text.len() {
            let (found, whole) = cut(text, size);
            assert_eq!(found.unwrap(), [r#"{"a":"}]\"{é","b":[{}]}"#, r#"{"c":{"d":"\\"}}"#, "{}"], "{size}");
            assert!(whole);
        }
        assert_eq!(cut("[]", 1), (Ok(Vec::new()), true));
    }

    #[test]
    fn what_broke_off_is_not_whole() {
        for text in ["", "[", "[{}", "[{},", r#"[{},{"a":"#] {
            assert!(!cut(text, 3).1, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["{}", "[1]", "null", r#"["a"]"#, "[{}]x", "[[]]"] {
            assert_eq!(cut(text, 2).0, Err(Malformed::NoList), "{text}");
        }
        let long = format!(r#"[{{"a":"{}"}}]"#, "x".repeat(LONGEST));
        assert_eq!(cut(&long, 65_536).0, Err(Malformed::TooLong));
    }
}
