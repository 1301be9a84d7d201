//! Alertmanager: what it posts to us, and what we ask of it.

pub mod fingerprint;
pub mod payload;
