//! What a file of servers would change: every line beside what is there, before anything is saved.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};

use super::{NewServer, Server, ServerInput};
use crate::address::{Address, Reach};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::schema::servers;
use crate::store::scope::{Writable, Writing};

/// What a file says of one server; `None`: nothing, so it stays as it is, or is what a new one has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Where it stands: `line 7`, `group 2, target 1`.
    pub place: String,
    /// The owner's external id.
    pub owner: Option<String>,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
    pub port: Option<String>,
    pub job: Option<String>,
    pub scheme: Option<String>,
    pub metrics_path: Option<String>,
    /// `true`, `false`, or what spreadsheets make of them.
    pub enabled: Option<String>,
    pub labels: Option<String>,
    pub comment: Option<String>,
}

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: String,
    pub why: String,
}

impl Line {
    fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { place: self.place.clone(), why: why.into() }
    }

    /// What it makes of a server, or of none.
    fn onto(&self, known: Option<&Server>) -> Result<ServerInput, Fault> {
        let mut input = known.map_or_else(
            || ServerInput { enabled: Some("on".into()), ..ServerInput::default() },
            ServerInput::of,
        );
        // an empty cell takes away what may be empty, and nothing else
        let given = |field: &Option<String>| field.clone().filter(|text| !text.trim().is_empty());
        for (field, text) in [
            (&mut input.external_id, given(&self.external_id)),
            (&mut input.port, given(&self.port)),
            (&mut input.job, given(&self.job)),
            (&mut input.scheme, given(&self.scheme)),
            (&mut input.metrics_path, given(&self.metrics_path)),
            (&mut input.name, self.name.clone()),
            (&mut input.address, self.address.clone()),
            (&mut input.labels, self.labels.clone()),
            (&mut input.comment, self.comment.clone()),
        ] {
            if let Some(text) = text {
                *field = text;
            }
        }
        if let Some(text) = given(&self.enabled) {
            input.enabled = match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some("on".into()),
                "false" | "no" | "off" | "0" => None,
                _ => return Err(self.fault(format!("enabled: `{}` is neither true nor false.", text.trim()))),
            };
        }
        Ok(input)
    }
}

/// A server that would be added.
#[derive(Debug)]
pub struct Added {
    pub place: String,
    pub owner_id: i64,
    pub new: NewServer,
}

/// A server that would be changed.
#[derive(Debug)]
pub struct Changed {
    pub place: String,
    pub server: Writable<Server>,
    pub new: NewServer,
}

impl Added {
    /// What it would be called.
    pub fn name(&self) -> &str {
        &self.new.name
    }

    /// As [`Server::endpoint`].
    pub fn endpoint(&self) -> String {
        super::endpoint(&self.new.address, self.new.port)
    }
}

/// A field before and after, as people read them.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: String,
    pub old: String,
    pub new: String,
}

impl Changed {
    /// What differs.
    pub fn differences(&self) -> Vec<Difference> {
        let (old, new) = (self.server.fields(), self.new.fields(&self.server.external_id));
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let fields = old.as_object().into_iter().flatten();
        let differing = fields.filter_map(|(field, old)| Some((field, old, new.get(field)?)));
        let differing = differing.filter(|(_, old, new)| old != new);
        differing
            .map(|(field, old, new)| Difference { field: field.clone(), old: text(old), new: text(new) })
            .collect()
    }
}

/// What would be done.
#[derive(Debug, Default)]
pub struct Plan {
    pub added: Vec<Added>,
    pub changed: Vec<Changed>,
    pub removed: Vec<Writable<Server>>,
    /// Servers that are as the file says.
    pub same: usize,
    pub faults: Vec<Fault>,
    /// Whose servers the file is about.
    pub owners: HashMap<i64, Writable<Owner>>,
}

impl Plan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// The same for plans that do the same to the same servers as they are now, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for added in &self.added {
            let external_id = added.new.external_id.clone().unwrap_or_default();
            hash.update(format!("+{} {}\n", added.owner_id, added.new.fields(&external_id)));
        }
        for Changed { server, new, .. } in &self.changed {
            let after = new.fields(new.external_id.as_ref().unwrap_or(&server.external_id));
            hash.update(format!("~{} {} {after}\n", server.id, server.fields()));
        }
        let mut removed: Vec<i64> = self.removed.iter().map(|server| server.id).collect();
        removed.sort_unstable();
        hash.update(format!("-{removed:?}"));
        hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// How a file is taken.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub reach: Reach<'a>,
    /// Labels that only prommgr sets: the owner's and the server's.
    pub ours: [&'a str; 2],
    /// The external id of the owner of lines that name none.
    pub owner: Option<&'a str>,
    /// Servers of the owners in the file that are not in it are removed.
    pub remove: bool,
}

/// Unique among an owner's servers, each by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    ExternalId(i64, String),
    Address(i64, String, i32, String),
}

const SAME_ID: &str = "has this external id already";
const SAME_ADDRESS: &str = "has this address, port and job already";

impl Key {
    fn of(owner: i64, external_id: Option<&str>, address: &str, port: i32, job: &str) -> Vec<Self> {
        let id = external_id.map(|id| Self::ExternalId(owner, id.to_owned()));
        let address = Self::Address(owner, address.to_owned(), port, job.to_owned());
        id.into_iter().chain([address]).collect()
    }

    fn of_server(server: &Server) -> Vec<Self> {
        Self::of(server.owner_id, Some(&server.external_id), &server.address, server.port, &server.job)
    }

    fn why(&self, holder: &str) -> String {
        format!("{holder} {}.", if matches!(self, Self::ExternalId(..)) { SAME_ID } else { SAME_ADDRESS })
    }
}

/// Compares lines with what is there. Owners that do not exist and those that may not be changed are alike.
pub async fn plan(db: &mut Db, writing: &Writing, lines: &[Line], terms: Terms<'_>) -> Result<Plan> {
    let name = |line: &Line| -> Option<String> {
        let own = line.owner.as_deref().map(str::trim).filter(|owner| !owner.is_empty());
        own.or(terms.owner).map(str::to_owned)
    };
    let names: HashSet<String> = lines.iter().filter_map(name).collect();
    let found = owners::by_external_ids_rw(db, writing, names.into_iter().collect()).await?;
    let by_name: HashMap<String, i64> =
        found.iter().map(|owner| (owner.external_id.clone(), owner.id)).collect();
    let mut plan =
        Plan { owners: found.into_iter().map(|owner| (owner.id, owner)).collect(), ..Plan::default() };
    let there: Vec<Server> = servers::table
        .filter(servers::owner_id.eq_any(plan.owners.keys().copied().collect::<Vec<_>>()))
        .filter(servers::removed_at.is_null())
        .select(Server::as_select())
        .load(db.conn())
        .await?;
    let mut known: HashMap<Key, usize> = HashMap::new();
    for (n, server) in there.iter().enumerate() {
        known.extend(Key::of_server(server).into_iter().map(|key| (key, n)));
    }

    let mut met: HashMap<usize, &str> = HashMap::new();
    let mut wanted: Vec<(&Line, i64, Option<usize>, NewServer)> = Vec::new();
    for line in lines {
        let owner = match name(line) {
            None => Err("It names no owner.".to_owned()),
            Some(name) => by_name.get(&name).copied().ok_or(format!("There is no owner {name}.")),
        };
        let owner = match owner {
            Ok(owner) => owner,
            Err(why) => {
                plan.faults.push(line.fault(why));
                continue;
            }
        };
        let place = keys_of(line, owner).into_iter().find_map(|key| known.get(&key).copied());
        if let Some(first) = place.and_then(|n| met.insert(n, &line.place)) {
            plan.faults.push(line.fault(format!("It is the same server as {first}.")));
            continue;
        }
        let server = place.and_then(|n| there.get(n));
        let input = match line.onto(server) {
            Ok(input) => input,
            Err(fault) => {
                plan.faults.push(fault);
                continue;
            }
        };
        match input.check(terms.reach, server, terms.ours).await {
            Ok(new) => wanted.push((line, owner, place, new)),
            Err(Error::Invalid(fields)) => {
                let said = fields.0.iter().map(|(field, why)| format!("{field}: {why}"));
                plan.faults.push(line.fault(said.collect::<Vec<_>>().join(" ")));
            }
            Err(error) => return Err(error),
        }
    }

    // what is removed and what becomes something else gives its keys free, whatever the order of the lines
    let mut held: HashMap<Key, String> = HashMap::new();
    let touched: HashSet<usize> = wanted.iter().filter_map(|(_, _, place, _)| *place).collect();
    for (n, server) in there.iter().enumerate() {
        if terms.remove && !met.contains_key(&n) {
            plan.removed.push(Writable::found(server.clone()));
        } else if !touched.contains(&n) {
            held.extend(Key::of_server(server).into_iter().map(|key| (key, server.name.clone())));
        }
    }
    for (line, owner_id, place, new) in wanted {
        let server = place.and_then(|n| there.get(n));
        let external_id = new.external_id.as_deref().or(server.map(|server| server.external_id.as_str()));
        let keys = Key::of(owner_id, external_id, &new.address, new.port, &new.job);
        if let Some((key, holder)) = keys.iter().find_map(|key| Some((key, held.get(key)?))) {
            plan.faults.push(line.fault(key.why(holder)));
            continue;
        }
        held.extend(keys.into_iter().map(|key| (key, line.place.clone())));
        let place = line.place.clone();
        match server {
            None => plan.added.push(Added { place, owner_id, new }),
            Some(server) if server.fields() == new.fields(&server.external_id) => plan.same += 1,
            Some(server) => {
                plan.changed.push(Changed { place, server: Writable::found(server.clone()), new });
            }
        }
    }
    Ok(plan)
}

/// By what a line's server is found: its external id; without one, its address, port and job.
fn keys_of(line: &Line, owner: i64) -> Option<Key> {
    let text = |field: &Option<String>| field.as_deref().map(str::trim).unwrap_or_default().to_owned();
    let external_id = text(&line.external_id);
    if !external_id.is_empty() {
        return Some(Key::ExternalId(owner, external_id));
    }
    let usual = |text: String, usual: &str| if text.is_empty() { usual.to_owned() } else { text };
    let address = Address::parse(&text(&line.address)).ok()?.to_string();
    let port = usual(text(&line.port), "9100").parse().ok()?;
    Some(Key::Address(owner, address, port, usual(text(&line.job), "node")))
}
