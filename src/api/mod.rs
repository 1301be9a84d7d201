//! JSON for machines: a file a noun.

#![expect(unused_qualifications, reason = "utoipa writes them into what it makes of `params`")]

pub mod alerts;
pub mod answer;
pub mod ask;
pub mod audit;
pub mod document;
pub mod health;
pub mod limits;
pub mod me;
pub mod members;
pub mod metrics;
pub mod once;
pub mod owners;
pub mod servers;
pub mod tokens;
pub mod users;
pub mod webhook;
