//! Keyset pages: a slice of an ordered list, and cursors to its neighbours. A cursor holds the
//! sort key itself and never names a row, so that it tells nobody about rows of others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows a page, where nothing else is asked for.
pub const SIZE: usize = 50;

/// Where a page begins, as it comes in a URL: at most one of the two is used, `after` first.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default)]
pub struct At {
    /// The page that follows this cursor.
    pub after: Option<String>,
    /// The page that ends before this cursor.
    pub before: Option<String>,
    /// Rows a page; people have no choice.
    #[serde(skip, default = "usual")]
    pub size: usize,
}

fn usual() -> usize {
    SIZE
}

impl Default for At {
    fn default() -> Self {
        Self { after: None, before: None, size: SIZE }
    }
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
        let decode = |text: &Option<String>| key(text.as_deref()?);
        if let Some(key) = decode(&self.after) {
            return Seek::After(key);
        }
        decode(&self.before).map_or(Seek::Start, Seek::Before)
    }

    /// As many rows as have to be read to know whether more follow.
    pub fn rows(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX - 1) + 1
    }
}

/// A sort key as a cursor.
pub fn cursor<K: Serialize>(key: &K) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).ok()?))
}

/// The sort key that a cursor holds; `None`: it is none of ours.
pub fn key<K: DeserializeOwned>(cursor: &str) -> Option<K> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
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
    /// A page of at most [`SIZE`] rows, see [`Page::sized`].
    pub fn new<K: Serialize>(rows: Vec<T>, seek: &Seek<K>, key: impl Fn(&T) -> K) -> Self {
        Self::sized(SIZE, rows, seek, key)
    }

    /// Makes a page of at most `size` from up to `size + 1` rows, which were read in list order, or in
    /// reverse when seeking `Before`.
    pub fn sized<K: Serialize>(size: usize, mut rows: Vec<T>, seek: &Seek<K>, key: impl Fn(&T) -> K) -> Self {
        let more = rows.len() > size;
        rows.truncate(size);
        let backwards = matches!(seek, Seek::Before(_));
        if backwards {
            rows.reverse();
        }
        let cursor = |row: Option<&T>| cursor(&key(row?));
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
        let cursor = cursor(&edge);
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
        let second = read(&At { after: first.next, before: None, ..At::default() });
        assert_eq!(second.items, (50..100).collect::<Vec<_>>());
        let third = read(&At { after: second.next, before: None, ..At::default() });
        assert_eq!((third.items.len(), third.next.is_none()), (20, true));
        let back = read(&At { after: None, before: third.prev, ..At::default() });
        assert_eq!(back.items, (50..100).collect::<Vec<_>>());
        let start = read(&At { after: None, before: back.prev, ..At::default() });
        assert_eq!((start.items[0], start.prev.is_none(), start.next.is_some()), (0, true, true));
        assert_eq!(read(&At { after: Some("%%".into()), before: None, ..At::default() }).items[0], 0);
    }
}
