//! prommgr, the control plane for Prometheus. The map, a line a room, each importing only what stands
//! above it but for `web` and `api`, which never meet:

/// Every setting, read once, checked at start.
pub mod config;
/// One error and the status it means.
pub mod error;
/// The rule kinds as data.
pub mod catalogue;
/// What an address is, and which ones customers may name.
pub mod address;
/// Keyset pages and their cursors.
pub mod page;
/// argon2id, off the async threads, on memory that is used again.
pub mod password;
/// Children that cannot outlive us.
pub mod leash;
/// PostgreSQL: the only room that knows SQL.
pub mod store;
/// Publishing: pure text out, a few calls in.
pub mod prometheus;
/// What Alertmanager posts.
pub mod alertmanager;
/// What a handler may ask for.
pub mod app;
/// Who is asking.
pub mod auth;
/// The two faces of an error, and extractors that reject with it.
pub mod face;
/// Pages for people.
pub mod web;
/// JSON for machines.
pub mod api;
/// The clock: which job, how often.
pub mod worker;
/// Every URL of the house.
pub mod router;
/// HTTP over TCP.
pub mod server;
/// `prommgr serve`, from the settings to the end.
pub mod serve;
/// A whole stack on this machine.
pub mod demo;
