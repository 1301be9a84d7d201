//! Keyset pages: a slice of an ordered list, and cursors to its neighbours. A cursor holds the
//! sort key itself and never names a row, so that it tells nobody about rows of others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows a page.
pub const SIZE: usize = 50;

/// Where a page begins, as it comes in a URL: at most one of the two is used, `after` first.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct At {
    /// The page that follows this cursor.
    pub after: Option<String>,
    /// The page that ends before this cursor.
    pub before: Option<String>,
}

/// A position to continue from.
#[derive(Debug)]
pub enum Seek<K> {
    Start,
    After(K),
    Before(K),
}

impl At {
    /// The position; a cursor that is not one of ours is the start.
    pub fn seek<K: DeserializeOwned>(&self) -> Seek<K> {
        let decode = |text: &Option<String>| {
            let bytes = URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        if let Some(key) = decode(&self.after) {
            return Seek::After(key);
        }
        decode(&self.before).map_or(Seek::Start, Seek::Before)
    }
}

/// A slice of a list, in its order.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Cursor for `before`, when there is something before.
    pub prev: Option<String>,
    /// Cursor for `after`, when there is something after.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of at most [`SIZE`] from up to `SIZE + 1` rows, which were read in list order, or in
    /// reverse when seeking `Before`.
    pub fn new<K: Serialize>(mut rows: Vec<T>, seek: &Seek<K>, key: impl Fn(&T) -> K) -> Self {
        let more = rows.len() > SIZE;
        rows.truncate(SIZE);
        let backwards = matches!(seek, Seek::Before(_));
        if backwards {
            rows.reverse();
        }
        let cursor = |row: Option<&T>| {
            let json = serde_json::to_vec(&key(row?)).ok()?;
            Some(URL_SAFE_NO_PAD.encode(json))
        };
        let (has_prev, has_next) = match seek {
            Seek::Start => (false, more),
            Seek::After(_) => (true, more),
            Seek::Before(_) => (more, true),
        };
        Self {
            prev: cursor(rows.first()).filter(|_| has_prev),
            next: cursor(rows.last()).filter(|_| has_next),
            items: rows,
        }
    }

    /// A page for which rows were looked for only up to `edge`: the next one goes on there.
    pub fn up_to<K: Serialize>(mut self, seek: &Seek<K>, edge: K) -> Self {
        let cursor = serde_json::to_vec(&edge).ok().map(|json| URL_SAFE_NO_PAD.encode(json));
        match seek {
            Seek::Before(_) => self.prev = cursor,
            _ => self.next = cursor,
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_walk_forth_and_back() {
        let all: Vec<i64> = (0..120).collect();
        let read = |at: &At| {
            let seek = at.seek::<i64>();
            let rows: Vec<i64> = match seek {
                Seek::Start => all.iter().copied().take(SIZE + 1).collect(),
                Seek::After(key) => all.iter().copied().filter(|n| *n > key).take(SIZE + 1).collect(),
                Seek::Before(key) => all.iter().rev().copied().filter(|n| *n < key).take(SIZE + 1).collect(),
            };
            Page::new(rows, &seek, |n| *n)
        };
        let first = read(&At::default());
        assert!(first.prev.is_none());
        let second = read(&At { after: first.next, before: None });
        assert_eq!(second.items, (50..100).collect::<Vec<_>>());
        let third = read(&At { after: second.next, before: None });
        assert_eq!((third.items.len(), third.next.is_none()), (20, true));
        let back = read(&At { after: None, before: third.prev });
        assert_eq!(back.items, (50..100).collect::<Vec<_>>());
        let start = read(&At { after: None, before: back.prev });
        assert_eq!((start.items[0], start.prev.is_none(), start.next.is_some()), (0, true, true));
        assert_eq!(read(&At { after: Some("%%".into()), before: None }).items[0], 0);
    }
}
