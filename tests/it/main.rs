//! The house from outside: every noun at its doors, on a real PostgreSQL, each test with a database of
//! its own. `house.rs` is what the tests live in, `strangers.rs` walks every URL.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "tests")]

mod alertmanager;
mod cluster;
mod house;
mod other_end;
mod page;
mod person;
mod prometheus;
#[cfg(feature = "sso")]
mod provider;

mod account;
mod alert_files;
mod alerts;
mod api_alerts;
mod api_owners;
mod api_people;
mod api_requests;
mod api_servers;
mod audit;
mod audit_files;
mod audit_noted;
mod bodies;
mod browsers;
mod close_reasons;
mod commands;
mod dashboard;
mod discard;
mod document;
mod door;
mod effective;
mod episodes;
mod faults;
mod figures;
mod fuzz;
mod groups;
mod handling;
mod health;
mod heartbeat;
mod house_rules;
mod import;
mod import_page;
mod intake;
mod kinds;
mod live;
mod login;
mod looking;
mod managers;
mod matrix;
mod members;
mod onward;
mod owners;
mod peer;
mod publications;
mod quarantine;
mod reconcile;
mod refusals;
mod retention;
mod rollback;
mod rules_of_episodes;
mod saved_filters;
mod schema;
mod second_factors;
mod second_wall;
mod server;
mod server_form;
mod servers;
mod setup;
#[cfg(feature = "sso")]
mod sso;
#[cfg(feature = "sso")]
mod sso_account;
#[cfg(feature = "sso")]
mod sso_refusals;
mod strangers;
mod sudo;
mod tenancy;
mod thresholds;
mod time_zone;
mod tls;
mod tokens;
mod trials;
mod upgrade;
mod users;
mod value;
mod webhook;
mod worker;
