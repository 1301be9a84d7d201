//! What a handler may ask for.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::alertmanager;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::live::Live;
use crate::metrics;
use crate::prometheus::Publisher;
use crate::prometheus::values::Values;
use crate::rate::Rate;
use crate::sso::Provider;
use crate::store::intake::Intake;
use crate::store::scope::Writing;
use crate::store::{Db, Store};

/// The program's state: cheap to clone, the same for every request.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    store: Store,
    intake: Intake,
    publisher: Publisher,
    values: Values,
    sso: Option<Provider>,
    alertmanagers: Vec<alertmanager::client::Client>,
    reconcile: Notify,
    live: Live,
    rate: Rate,
}

impl App {
    /// Puts it together; nothing is connected yet.
    pub fn new(config: Config, store: Store) -> Result<Self> {
        metrics::begin();
        let publisher = Publisher::new(&config, store.clone())?;
        let values = Values::new(publisher.clients(), &config.owner_label, &config.server_label);
        let sso = Provider::new(&config);
        // the other half is for pages
        let live = Live::new((config.max_connections / 2).max(1));
        let alertmanagers =
            config.alertmanager.iter().map(|url| alertmanager::client::Client::new(url.clone()));
        let alertmanagers = alertmanagers.collect::<Result<_, _>>().map_err(Error::internal)?;
        Ok(Self(Arc::new(Inner {
            rate: Rate::new(config.api_requests_per_minute),
            config,
            intake: Intake::new(store.clone()),
            store,
            values,
            publisher,
            sso,
            alertmanagers,
            reconcile: Notify::new(),
            live,
        })))
    }

    /// What tokens may ask of this instance.
    pub fn rate(&self) -> &Rate {
        &self.0.rate
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// A connection for those who come to the door: people, sessions, tokens and links, no tenant's row.
    pub async fn door(&self) -> Result<Db> {
        self.0.store.door().await
    }

    /// A connection that reaches what somebody may see and change, and nothing else: `app.db(&user)`.
    pub async fn db(&self, rights: impl Into<Writing>) -> Result<Db> {
        self.0.store.db(rights).await
    }

    /// What takes alerts in.
    pub fn intake(&self) -> &Intake {
        &self.0.intake
    }

    /// What publishes.
    pub fn publisher(&self) -> &Publisher {
        &self.0.publisher
    }

    /// What asks for the values that alerts are about.
    pub fn values(&self) -> &Values {
        &self.0.values
    }

    /// The provider of single sign-on, where one is set.
    pub fn sso(&self) -> Option<&Provider> {
        self.0.sso.as_ref()
    }

    /// Every Alertmanager, members of one cluster.
    pub fn alertmanagers(&self) -> &[alertmanager::client::Client] {
        &self.0.alertmanagers
    }

    /// Asks for a reconciliation before its time. Many askers get one.
    pub fn reconcile_soon(&self) {
        self.0.reconcile.notify_one();
    }

    /// Resolves when somebody asks for a reconciliation, or has since it last resolved.
    pub async fn reconciliation_wanted(&self) {
        self.0.reconcile.notified().await;
    }

    /// News for pages that are open.
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// The labels that only prommgr sets: the owner's and the server's.
    pub fn our_labels(&self) -> [&str; 2] {
        [&self.0.config.owner_label, &self.0.config.server_label]
    }
}
