//! Which servers have which threshold, as sets: the terms of a rule's `or` chain as data.
//! Pure; `rules` writes them as PromQL.

use crate::catalogue::Setting;
use std::collections::{BTreeMap, BTreeSet};

/// The three layers of one kind and severity; ids are `external_id`s. Overrides belong to
/// servers and owners that exist. Empty ids are not possible: an empty label is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    pub default: Setting,
    pub owners: BTreeMap<String, Setting>,
    /// By owner, then by server: a server's id is unique for its owner only.
    pub servers: BTreeMap<String, BTreeMap<String, Setting>>,
}

/// A set of ids by what is in it or by what is not.
#[derive(Debug, Clone, PartialEq)]
pub enum Set<'a> {
    In(BTreeSet<&'a str>),
    Except(BTreeSet<&'a str>),
}

/// All servers of `servers` of all owners of `owners` fire beyond `value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Term<'a> {
    pub value: Option<f64>,
    pub owners: Set<'a>,
    pub servers: Set<'a>,
}

/// The hold in seconds and the bits of the value; a threshold of zero or more sorts by its bits.
type Key = (u32, Option<u64>);
type Ids<'a> = BTreeSet<&'a str>;

/// The terms by hold in seconds. Every server that has an enabled threshold is in exactly one
/// term, that of its effective threshold; a server or owner that no layer names gets the next
/// layer's. Stays exact where owners share a server's id, provided that `shared` has these ids.
pub fn terms<'a>(layers: &'a Layers, shared: &BTreeSet<String>) -> BTreeMap<u32, Vec<Term<'a>>> {
    let default = key(&layers.default);
    let mut apart = Ids::new();
    let mut excepted = Ids::new();
    let mut whole: BTreeMap<Key, (Ids, Ids)> = BTreeMap::new();
    let mut split: BTreeMap<(Key, Ids), Ids> = BTreeMap::new();
    let mut single: BTreeMap<Key, Ids> = BTreeMap::new();
    let mut pairs: BTreeMap<(Key, Ids), Ids> = BTreeMap::new();

    let owners: Ids = layers.owners.keys().chain(layers.servers.keys()).map(String::as_str).collect();
    for owner in owners {
        let base = layers.owners.get(owner).map_or(default, key);
        let mut own = Ids::new();
        let mut ambiguous: BTreeMap<Key, Ids> = BTreeMap::new();
        let mut is_split = false;
        for (server, setting) in layers.servers.get(owner).into_iter().flatten() {
            let effective = key(setting);
            if effective == base {
                continue;
            }
            own.insert(server);
            let is_shared = shared.contains(server);
            is_split |= is_shared;
            if let Some(key) = effective {
                let sets = if is_shared { &mut ambiguous } else { &mut single };
                sets.entry(key).or_default().insert(server);
            }
        }
        for (key, servers) in ambiguous {
            pairs.entry((key, servers)).or_default().insert(owner);
        }
        if base == default && !is_split {
            excepted.append(&mut own);
            continue;
        }
        apart.insert(owner);
        match base {
            // Excluding a shared id from several owners would exclude another owner's server,
            // so only owners that override the same ids go together.
            Some(base) if is_split => {
                split.entry((base, own)).or_default().insert(owner);
            }
            Some(base) => {
                let (owners, except) = whole.entry(base).or_default();
                owners.insert(owner);
                except.append(&mut own);
            }
            None => {}
        }
    }

    let mut found: BTreeMap<Key, Vec<(Set, Set)>> = BTreeMap::new();
    let mut add = |key, owners, servers| found.entry(key).or_default().push((owners, servers));
    if let Some(key) = default {
        add(key, Set::Except(apart), Set::Except(excepted));
    }
    for (key, (owners, except)) in whole {
        add(key, Set::In(owners), Set::Except(except));
    }
    for ((key, except), owners) in split {
        add(key, Set::In(owners), Set::Except(except));
    }
    for (key, servers) in single {
        add(key, Set::Except(Ids::new()), Set::In(servers));
    }
    for ((key, servers), owners) in pairs {
        add(key, Set::In(owners), Set::In(servers));
    }

    let mut by_hold: BTreeMap<u32, Vec<Term>> = BTreeMap::new();
    for ((hold, bits), sets) in found {
        let value = bits.map(f64::from_bits);
        let terms = sets.into_iter().map(|(owners, servers)| Term { value, owners, servers });
        by_hold.entry(hold).or_default().extend(terms);
    }
    by_hold
}

/// What makes two settings the same threshold; `None` when disabled.
fn key(setting: &Setting) -> Option<Key> {
    // `+ 0.0` makes one zero of both.
    setting.enabled.then(|| (setting.hold, setting.value.map(|value| (value + 0.0).to_bits())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;

    impl Set<'_> {
        fn has(&self, id: &str) -> bool {
            match self {
                Set::In(ids) => ids.contains(id),
                Set::Except(ids) => !ids.contains(id),
            }
        }
    }

    type Fleet = BTreeSet<(String, String)>;

    fn setting() -> impl Strategy<Value = Setting> {
        let value = prop_oneof![Just(Some(1.0)), Just(Some(2.5)), Just(Some(90.0))];
        let hold = prop_oneof![Just(60_u32), Just(300)];
        (value, hold, prop::bool::weighted(0.8)).prop_map(|(value, hold, enabled)| Setting {
            value,
            hold,
            enabled,
        })
    }

    /// Six owners whose servers often share ids, and overrides of any of them.
    fn estate() -> impl Strategy<Value = (Fleet, Layers)> {
        let fleet = btree_set(("[a-f]", "[1-6]"), 0..24);
        fleet.prop_flat_map(|fleet| {
            let all: Vec<_> = fleet.iter().cloned().collect();
            let picked = prop::sample::subsequence(all.clone(), 0..=all.len());
            let owners = btree_map("[a-f]", setting(), 0..4);
            let servers = picked.prop_flat_map(|pairs| {
                let settings = prop::collection::vec(setting(), pairs.len());
                settings.prop_map(move |settings| {
                    let mut servers: BTreeMap<String, BTreeMap<String, Setting>> = BTreeMap::new();
                    for ((owner, server), setting) in pairs.iter().cloned().zip(settings) {
                        servers.entry(owner).or_default().insert(server, setting);
                    }
                    servers
                })
            });
            (Just(fleet), setting(), owners, servers)
                .prop_map(|(fleet, default, owners, servers)| (fleet, Layers { default, owners, servers }))
        })
    }

    fn shared_ids(fleet: &Fleet) -> BTreeSet<String> {
        let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, server) in fleet {
            *owners.entry(server).or_default() += 1;
        }
        owners.into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id.to_owned()).collect()
    }

    fn effective(layers: &Layers, owner: &str, server: &str) -> Option<(u32, Option<f64>)> {
        let of_server = layers.servers.get(owner).and_then(|servers| servers.get(server));
        let setting = of_server.or(layers.owners.get(owner)).unwrap_or(&layers.default);
        setting.enabled.then_some((setting.hold, setting.value))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_server_is_in_the_term_of_its_effective_threshold_only((fleet, layers) in estate()) {
            let terms = terms(&layers, &shared_ids(&fleet));
            let new_servers = ["a", "c", "f", "unknown"].map(|owner| (owner, "new"));
            let known = fleet.iter().map(|(owner, server)| (owner.as_str(), server.as_str()));
            for (owner, server) in known.chain(new_servers) {
                let matching: Vec<_> = terms
                    .iter()
                    .flat_map(|(hold, terms)| terms.iter().map(move |term| (*hold, term)))
                    .filter(|(_, term)| term.owners.has(owner) && term.servers.has(server))
                    .map(|(hold, term)| (hold, term.value))
                    .collect();
                let expected: Vec<_> = effective(&layers, owner, server).into_iter().collect();
                prop_assert_eq!(matching, expected, "{} {}", owner, server);
            }
        }
    }

    #[test]
    fn an_override_that_changes_nothing_is_no_term() {
        let same = Setting { value: Some(1.0), hold: 60, enabled: true };
        let layers = Layers {
            default: same,
            owners: BTreeMap::from([("a".to_owned(), same)]),
            servers: BTreeMap::from([("b".to_owned(), BTreeMap::from([("1".to_owned(), same)]))]),
        };
        let everyone = Set::Except(BTreeSet::new());
        let term = Term { value: Some(1.0), owners: everyone.clone(), servers: everyone };
        assert_eq!(terms(&layers, &BTreeSet::new()), BTreeMap::from([(60, vec![term])]));
    }
}
