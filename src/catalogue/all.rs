//! All kinds together: those that are built in, and those that admins made.

use std::sync::{Arc, LazyLock};

use super::{KINDS, Origin, RuleKind};

static BUILT_IN: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue(KINDS.iter().map(|kind| Arc::new(kind.built_in())).collect()));

/// Every kind there is, in the order in which pages list them. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue(Arc<[Arc<RuleKind>]>);

impl Catalogue {
    /// Those that are built in.
    pub fn built_in() -> Self {
        BUILT_IN.clone()
    }

    /// Those that are built in, and these. One of these that is called as a built-in one does not count.
    pub fn with(own: Vec<RuleKind>) -> Self {
        if own.is_empty() {
            return Self::built_in();
        }
        let own = own.into_iter().filter(|kind| super::kind(&kind.name).is_none());
        Self(BUILT_IN.0.iter().cloned().chain(own.map(Arc::new)).collect())
    }

    /// Those in use.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RuleKind>> {
        self.0.iter().filter(|kind| kind.origin != Origin::Retired)
    }

    /// The one of that name, if it is in use.
    pub fn kind(&self, name: &str) -> Option<&Arc<RuleKind>> {
        self.iter().find(|kind| kind.name == name)
    }

    /// The title of a kind, also of one that is no longer in use; of others the name.
    pub fn title<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.iter().find(|kind| kind.name == name).map_or(name, |kind| &kind.title)
    }
}

/// The built-in kind of that name.
pub fn kind(name: &str) -> Option<&'static RuleKind> {
    BUILT_IN.0.iter().find(|kind| kind.name == name).map(|kind| &**kind)
}
