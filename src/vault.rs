//! Secrets at rest: AES-256-GCM under keys derived from `PROMMGR_SECRET_KEY`. What is sealed is bound to
//! its purpose and its row, so that a copy of it in another row opens nothing. The first key seals, every
//! one opens, which is how keys are rotated.
//!
//! Sealed bytes: version (1), the key's id (8), nonce (12), ciphertext, tag (16).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::error::{Error, Result};

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const HEAD_LEN: usize = 1 + ID_LEN;
/// No secret, but ours: the same text used elsewhere makes other keys there.
const SALT: &[u8] = b"prommgr PROMMGR_SECRET_KEY";

/// The keys. Without any it seals and opens nothing.
#[derive(Clone, Default)]
pub struct Vault(Arc<[Key]>);

struct Key {
    /// Derived beside the key, so that sealed bytes say which key opens them and nothing about it.
    id: [u8; ID_LEN],
    key: RandomizedNonceKey,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} keys)", self.0.len())
    }
}

impl Key {
    /// HKDF stretches no passphrase: the text itself must be random.
    fn derive(secret: &str) -> Result<Self, Unspecified> {
        let root = Salt::new(HKDF_SHA256, SALT).extract(secret.as_bytes());
        let mut key = [0; 32];
        root.expand(&[b"AES-256-GCM"], HKDF_SHA256)?.fill(&mut key)?;
        let mut beside = [0; 32];
        root.expand(&[b"id"], HKDF_SHA256)?.fill(&mut beside)?;
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&beside[..ID_LEN]);
        Ok(Self { id, key: RandomizedNonceKey::new(&AES_256_GCM, &key)? })
    }
}

impl Vault {
    /// Of the texts of `PROMMGR_SECRET_KEY`; the first one seals.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let keys: Result<Vec<_>, _> = secrets.into_iter().map(Key::derive).collect();
        Ok(Self(keys.map_err(|_| Error::internal("a key cannot be derived"))?.into()))
    }

    /// Whether there is a key to seal with.
    pub fn seals(&self) -> bool {
        !self.0.is_empty()
    }

    /// Seals what belongs to a purpose and a row. `Conflict` without a key.
    pub fn seal(&self, purpose: &str, row: i64, plain: &[u8]) -> Result<Vec<u8>> {
        let Some(first) = self.0.first() else {
            return Err(Error::Conflict("PROMMGR_SECRET_KEY is not set, so no secret can be kept.".into()));
        };
        let mut head = vec![VERSION];
        head.extend_from_slice(&first.id);
        let mut text = plain.to_vec();
        let nonce = first
            .key
            .seal_in_place_append_tag(Aad::from(bound(&head, purpose, row)), &mut text)
            .map_err(|_| Error::internal("a secret cannot be sealed"))?;
        Ok([head.as_slice(), nonce.as_ref(), &text].concat())
    }

    /// What was sealed for this purpose and row; `None` where no key opens it: sealed with one that is
    /// no longer here, for something else, or damaged.
    pub fn open(&self, purpose: &str, row: i64, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = sealed.split_at_checked(HEAD_LEN)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.0.iter().find(|key| head[0] == VERSION && head[1..] == key.id)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = key.key.open_in_place(nonce, Aad::from(bound(head, purpose, row)), &mut text).ok()?;
        Some(plain.to_vec())
    }

    /// The same secret under the first key: `None` where it is already, or where no key opens it.
    pub fn renewed(&self, purpose: &str, row: i64, sealed: &[u8]) -> Option<Vec<u8>> {
        let first = self.0.first()?;
        if sealed.get(1..HEAD_LEN) == Some(&first.id) {
            return None;
        }
        self.seal(purpose, row, &self.open(purpose, row, sealed)?).ok()
    }
}

/// What the tag vouches for beside the secret. The head's length is fixed and a purpose holds no NUL, so no
/// two of these read alike.
fn bound(head: &[u8], purpose: &str, row: i64) -> Vec<u8> {
    [head, purpose.as_bytes(), &[0], &row.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the old text, random and long enough";
    const NEW: &str = "the new text, random and long enough";

    fn vault(secrets: &[&str]) -> Vault {
        Vault::new(secrets.iter().copied()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_row_only() {
        let vault = vault(&[OLD]);
        let sealed = vault.seal("totp", 7, b"secret").unwrap();
        assert_eq!(vault.open("totp", 7, &sealed).unwrap(), b"secret");
        assert_eq!(vault.open("totp", 8, &sealed), None);
        assert_eq!(vault.open("credential", 7, &sealed), None);
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(vault.seal("totp", 7, b"secret").unwrap(), sealed, "the nonce is another each time");
    }

    #[test]
    fn nothing_that_was_changed_opens() {
        let vault = vault(&[OLD]);
        let sealed = vault.seal("totp", 7, b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(vault.open("totp", 7, &changed), None, "byte {index}");
            assert_eq!(vault.open("totp", 7, &sealed[..index]), None, "cut at {index}");
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(vault.open("totp", 7, &longer), None);
    }

    #[test]
    fn keys_are_rotated() {
        let (old, both, new) = (vault(&[OLD]), vault(&[NEW, OLD]), vault(&[NEW]));
        let sealed = old.seal("totp", 7, b"secret").unwrap();
        assert_eq!(new.open("totp", 7, &sealed), None);
        assert_eq!(new.renewed("totp", 7, &sealed), None);
        assert_eq!(both.open("totp", 7, &sealed).unwrap(), b"secret");
        let renewed = both.renewed("totp", 7, &sealed).unwrap();
        assert_eq!(new.open("totp", 7, &renewed).unwrap(), b"secret");
        assert_eq!(old.open("totp", 7, &renewed), None);
        assert_eq!(both.renewed("totp", 7, &renewed), None, "it is under the first key already");
        assert_eq!(both.renewed("totp", 8, &sealed), None, "a stolen copy is not made whole");
    }

    #[test]
    fn without_a_key_nothing_is_sealed_or_opened() {
        let none = Vault::default();
        assert!(!none.seals());
        assert!(matches!(none.seal("totp", 7, b"secret"), Err(Error::Conflict(_))));
        let sealed = vault(&[OLD]).seal("totp", 7, b"secret").unwrap();
        assert_eq!(none.open("totp", 7, &sealed), None);
        assert_eq!(none.renewed("totp", 7, &sealed), None);
    }

    #[test]
    fn it_does_not_tell_its_keys() {
        assert_eq!(format!("{:?}", vault(&[OLD, NEW])), "Vault(2 keys)");
    }
}
