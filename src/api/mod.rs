//! JSON for machines: a file a noun.

pub mod alerts;
pub mod answer;
pub mod ask;
pub mod health;
pub mod me;
pub mod metrics;
pub mod owners;
pub mod servers;
pub mod webhook;
