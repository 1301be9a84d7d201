//! A server as a program sends it.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::ask::{Given, given};
use crate::error::{Error, Fields, Result};
use crate::store::servers::{self, ServerInput, label_lines};

/// A server's fields. What is left out is as in a new server, or stays as it was where one is changed; `null` is as
/// in a new server.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"owner_external_id": "11", "name": "web-1", "address": "192.0.2.7", "labels": {"rack": "7"}}))]
pub struct ServerBody {
    /// Whose it is to be, by this or by `owner_external_id`. It stays whose it is.
    pub(super) owner_id: Option<i64>,
    pub(super) owner_external_id: Option<String>,
    /// One is generated where there is none.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(super) external_id: Given<String>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Given<String>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    address: Given<String>,
    /// 9100 unless given.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    port: Given<i64>,
    /// `node` unless given.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    job: Given<String>,
    /// `http`, unless given, or `https`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    scheme: Given<String>,
    /// `/metrics` unless given.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    metrics_path: Given<String>,
    /// Where a server is changed, those that are named; `null` takes one away.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    labels: Given<BTreeMap<String, Option<String>>>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    comment: Given<String>,
    /// `true` unless given.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    enabled: Given<bool>,
}

impl ServerBody {
    /// As a new server.
    pub(super) fn into_new(self) -> Result<ServerInput> {
        self.over(BTreeMap::new(), new())
    }

    /// As a change of one that is there.
    pub(super) fn into_change(self, of: &servers::Server) -> Result<ServerInput> {
        self.stays_with(of.owner_id)?;
        let labels = of.labels.as_object().into_iter().flatten();
        let labels =
            labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        self.over(labels.collect(), ServerInput::of(of))
    }

    /// A server stays with its owner.
    pub(super) fn stays_with(&self, owner: i64) -> Result<()> {
        let mut fields = Fields::default();
        let moved = "A server stays with its owner: remove it, and add it to the other one.";
        if self.owner_id.is_some_and(|id| id != owner) {
            fields.add("owner_id", moved);
        }
        if self.owner_external_id.is_some() {
            fields.add("owner_external_id", moved);
        }
        fields.into_result()
    }

    fn over(self, mut labels: BTreeMap<String, String>, mut input: ServerInput) -> Result<ServerInput> {
        let usual = new();
        let put = |into: &mut String, given: Given<String>, usual: String| {
            if let Some(value) = given {
                *into = value.unwrap_or(usual);
            }
        };
        put(&mut input.external_id, self.external_id, usual.external_id);
        put(&mut input.name, self.name, usual.name);
        put(&mut input.address, self.address, usual.address);
        put(&mut input.port, self.port.map(|port| port.map(|port| port.to_string())), usual.port);
        put(&mut input.job, self.job, usual.job);
        put(&mut input.scheme, self.scheme, usual.scheme);
        put(&mut input.metrics_path, self.metrics_path, usual.metrics_path);
        put(&mut input.comment, self.comment, usual.comment);
        if let Some(enabled) = self.enabled {
            input.enabled = enabled.unwrap_or(true).then(|| "on".into());
        }
        match self.labels {
            None => {}
            Some(None) => labels.clear(),
            Some(Some(named)) => {
                for (name, value) in named {
                    match value {
                        Some(value) => labels.insert(name, value),
                        None => labels.remove(&name),
                    };
                }
            }
        }
        input.labels = label_lines(&labels).map_err(|why| Error::Invalid(Fields::one("labels", why)))?;
        Ok(input)
    }
}

/// What a new server is where nothing is said.
fn new() -> ServerInput {
    ServerInput { enabled: Some("on".into()), ..ServerInput::default() }
}
