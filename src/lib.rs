//! prommgr, the control plane for Prometheus. The map, a line a room, each importing only what stands
//! above it but for `web` and `api`, which never meet:

/// What an address is, and which ones customers may name.
pub mod address;
/// What Alertmanager posts.
pub mod alertmanager;
/// JSON for machines.
pub mod api;
/// What a handler may ask for.
pub mod app;
/// Who is asking.
pub mod auth;
/// The rule kinds as data.
pub mod catalogue;
/// Every setting, read once, checked at start.
pub mod config;
/// A whole stack on this machine.
pub mod demo;
/// One error and the status it means.
pub mod error;
/// The two faces of an error, and extractors that reject with it.
pub mod face;
/// Servers as files say them.
pub mod import;
/// Children that cannot outlive us.
pub mod leash;
/// News for pages that are open.
pub mod live;
pub mod metrics;
/// Keyset pages and their cursors.
pub mod page;
/// argon2id, off the async threads, on memory that is used again.
pub mod password;
/// Who is at the other end, also behind proxies.
pub mod peer;
/// Publishing: pure text out, a few calls in.
pub mod prometheus;
/// How much a token may ask.
pub mod rate;
/// Every URL of the house.
pub mod router;
/// `prommgr serve`, from the settings to the end.
pub mod serve;
/// HTTP over TCP.
pub mod server;
/// Single sign-on: what is said with the OpenID Connect provider.
pub mod sso;
/// PostgreSQL: the only room that knows SQL.
pub mod store;
/// Codes of an app.
pub mod totp;
/// A program that we ask over HTTP.
pub mod upstream;
/// Secrets at rest.
pub mod vault;
/// Pages for people.
pub mod web;
/// The clock: which job, how often.
pub mod worker;
