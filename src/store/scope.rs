//! Whose rows may be seen, and whose may be changed. Every query about tenants' rows starts
//! from one of these; `auth` makes them for people, [`All::operator`] for the program itself.

use std::ops::Deref;
use std::sync::Arc;

/// Proof that the caller may see and change everything: an admin, or the program itself.
#[derive(Clone, Copy, Debug)]
pub struct All(());

impl All {
    /// For the operator's shell, the worker and Alertmanager's webhook. A test counts the callers.
    pub fn operator() -> Self {
        Self(())
    }

    /// For [`crate::auth::Admin`] only.
    pub(crate) fn admin() -> Self {
        Self(())
    }
}

/// Whose rows a query may see.
#[derive(Clone, Debug)]
pub struct Scope(Whose);

#[derive(Clone, Debug)]
enum Whose {
    All,
    Owners(Arc<[i64]>),
}

impl Scope {
    /// The rows of these owners; for [`crate::auth::User`] only.
    pub(crate) fn of(owners: impl Into<Arc<[i64]>>) -> Self {
        Self(Whose::Owners(owners.into()))
    }

    /// The owners that may be seen; `None` means every one, and what has no owner yet.
    pub(in crate::store) fn owners(&self) -> Option<&[i64]> {
        match &self.0 {
            Whose::All => None,
            Whose::Owners(ids) => Some(ids),
        }
    }

    /// Whether everything may be seen.
    pub fn sees_all(&self) -> bool {
        matches!(self.0, Whose::All)
    }
}

impl From<All> for Scope {
    fn from(_: All) -> Self {
        Self(Whose::All)
    }
}

/// Whose rows may be changed, beside whose may be seen: a row that is seen only is refused
/// with 403, one that is not seen with 404.
#[derive(Clone, Debug)]
pub struct Writing {
    pub(in crate::store) seen: Scope,
    pub(in crate::store) changed: Scope,
    /// Whose acts these are; `None`: the staff's or the program's.
    pub(in crate::store) person: Option<i64>,
}

impl Writing {
    /// For [`crate::auth::User`] only.
    pub(crate) fn of(seen: Scope, changed: Scope, person: i64) -> Self {
        Self { seen, changed, person: Some(person) }
    }
}

impl From<All> for Writing {
    fn from(all: All) -> Self {
        Self { seen: all.into(), changed: all.into(), person: None }
    }
}

/// A row that was found for writing: holding it is the permission to change it.
#[derive(Clone, Debug)]
pub struct Writable<T>(T);

impl<T> Writable<T> {
    pub(in crate::store) fn found(row: T) -> Self {
        Self(row)
    }

    /// Gives the row up for one that may only be read.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Writable<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
