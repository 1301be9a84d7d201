//! In place of the provider where prommgr is built without the feature `sso`; there is never one, as
//! `config` refuses the settings.

use url::Url;

use super::{Failure, Purpose, Trip, Visitor};
use crate::config::{Config, Given};

/// Never there.
#[derive(Clone, Debug)]
pub enum Provider {}

impl Provider {
    /// `None`.
    pub fn new(_: &Config) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Never called.
    pub fn issuer(&self) -> &str {
        match *self {}
    }

    /// Never called.
    pub fn given(&self, _: &Visitor) -> Given {
        match *self {}
    }

    /// Never called.
    pub async fn begin(&self, _: Purpose) -> Result<(Url, Trip), Failure> {
        match *self {}
    }

    /// Never called.
    pub async fn finish(&self, _: &Trip, _: String) -> Result<Visitor, Failure> {
        match *self {}
    }
}
