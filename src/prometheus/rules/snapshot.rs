//! What the rules are made from: the labels' names and every threshold.

use super::Layers;
use crate::catalogue::{Catalogue, RuleKind, Setting, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that decides the rules. Ids are `external_id`s.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub owner_label: String,
    pub server_label: String,
    /// The servers' ids that more than one owner uses.
    pub shared_server_ids: BTreeSet<String>,
    pub kinds: Catalogue,
    layers: BTreeMap<(String, Severity), Layers>,
}

impl Snapshot {
    /// The defaults of the built-in kinds for everyone.
    pub fn new(owner_label: &str, server_label: &str) -> Self {
        Self::of(Catalogue::built_in(), owner_label, server_label)
    }

    /// The defaults of these kinds for everyone.
    pub fn of(kinds: Catalogue, owner_label: &str, server_label: &str) -> Self {
        let layers = |kind: &RuleKind, severity| {
            let default = kind.default_setting(severity);
            let (owners, servers) = (BTreeMap::new(), BTreeMap::new());
            ((kind.name.clone(), severity), Layers { default, owners, servers })
        };
        Self {
            owner_label: owner_label.to_owned(),
            server_label: server_label.to_owned(),
            shared_server_ids: BTreeSet::new(),
            layers: kinds
                .iter()
                .flat_map(|kind| Severity::ALL.map(|severity| layers(kind, severity)))
                .collect(),
            kinds,
        }
    }

    /// Replaces the default of a kind and severity.
    pub fn set_default(&mut self, kind: &RuleKind, severity: Severity, setting: Setting) {
        let setting = checked(kind, severity, setting);
        self.layers_mut(kind, severity).default = setting;
    }

    /// Sets what applies to an owner's servers.
    pub fn set_owner(&mut self, kind: &RuleKind, severity: Severity, owner: &str, setting: Setting) {
        let setting = checked(kind, severity, setting);
        self.layers_mut(kind, severity).owners.insert(owner.to_owned(), setting);
    }

    /// Sets what applies to one server of an owner.
    pub fn set_server(
        &mut self,
        kind: &RuleKind,
        severity: Severity,
        owner: &str,
        server: &str,
        setting: Setting,
    ) {
        let setting = checked(kind, severity, setting);
        let servers = &mut self.layers_mut(kind, severity).servers;
        servers.entry(owner.to_owned()).or_default().insert(server.to_owned(), setting);
    }

    /// The layers of a kind and severity, for who wants to know what applies.
    pub fn layers(&self, kind: &RuleKind, severity: Severity) -> Option<&Layers> {
        self.layers.get(&(kind.name.clone(), severity))
    }

    fn layers_mut(&mut self, kind: &RuleKind, severity: Severity) -> &mut Layers {
        let default = kind.default_setting(severity);
        self.layers.entry((kind.name.clone(), severity)).or_insert_with(|| Layers {
            default,
            owners: BTreeMap::new(),
            servers: BTreeMap::new(),
        })
    }
}

/// A setting that can be written: with a value where the kind has one, without where not.
fn checked(kind: &RuleKind, severity: Severity, setting: Setting) -> Setting {
    let value = setting.value.or(kind.default_setting(severity).value);
    Setting { value: kind.bounds.and(value), ..setting }
}
