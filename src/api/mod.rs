//! JSON for machines: a file a noun.

pub mod health;
pub mod me;
pub mod metrics;
pub mod webhook;
