//! Alertmanager: what it posts to us, and what we ask of it.

pub mod client;
mod elements;
pub mod fingerprint;
mod interval;
pub mod payload;
pub mod ready;
pub mod replay;
