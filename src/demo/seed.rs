//! The demo's people, owners, servers and thresholds: made through the same functions as a person's.

use anyhow::{Context, Result};

use super::past::Past;
use crate::address::Reach;
use crate::app::App;
use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::store::changes::Actor;
use crate::store::owners::{self, OwnerInput};
use crate::store::scope::All;
use crate::store::servers::{self, ServerInput};
use crate::store::thresholds::{self, ThresholdInput};
use crate::store::users::members::Role;
use crate::store::users::{self, NewUser};

/// The customer's owner.
const CUSTOMER: &str = "11";

/// Owner's external id, name, comment.
const OWNERS: [(&str, &str, &str); 3] = [
    (CUSTOMER, "Nordwind Hosting", "The customer login belongs to this one."),
    ("12", "Acme Corp", "Has a lower threshold of its own for CPU."),
    ("13", "Südstern e. V.", ""),
];

/// Owner's external id, server's, name, address, port, comment, enabled. Port 0 is node_exporter's.
type Seed = (&'static str, &'static str, &'static str, &'static str, u16, &'static str, bool);

const SERVERS: [Seed; 7] = [
    (CUSTOMER, "4385", "web-1", "127.0.0.1", 0, "this machine", true),
    (CUSTOMER, "4386", "web-2", "127.0.0.1", 1, "nothing listens there: it is down", true),
    (CUSTOMER, "4387", "db-1", "localhost", 0, "this machine by its name", true),
    ("12", "5001", "app-1", "127.0.0.1", 0, "this machine", true),
    ("12", "5002", "app-2", "localhost", 0, "this machine by its name", true),
    ("13", "6001", "mail", "127.0.0.1", 0, "this machine", true),
    ("13", "6002", "old-mail", "192.0.2.25", 9100, "switched off for good, so it is paused", false),
];

/// A week that the servers never had, so that a threshold can be tried at once.
pub fn past(config: &Config, node_exporter: u16) -> Vec<Past> {
    let cpu: [fn(i64, i64) -> f64; 2] = [
        |minute, day| match minute {
            // a backup, longer at the weekend
            200..225 => 92.0,
            225..260 if day % 7 < 2 => 96.0,
            minute => {
                30.0 + 20.0 * (minute as f64 / 1440.0 * std::f64::consts::TAU).sin() + (minute % 7) as f64
            }
        },
        |minute, day| {
            12.0 + (minute % 11) as f64 + if day == 3 && (700..760).contains(&minute) { 66.0 } else { 0.0 }
        },
    ];
    let watched = SERVERS.iter().filter(|server| server.6 && server.4 == 0);
    let of = |(n, (owner, server, _, address, ..)): (usize, &Seed)| {
        let labels = [
            (config.owner_label.as_str(), *owner),
            (&config.server_label, server),
            ("instance", &format!("{address}:{node_exporter}")),
            ("job", "node"),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let up = Past {
            name: "up",
            labels: labels.clone(),
            value: |minute, day| f64::from(day != 4 || minute > 12),
        };
        [up, Past { name: "prommgr:cpu_used:percent", labels, value: cpu[n % 2] }]
    };
    watched.enumerate().flat_map(of).collect()
}

/// Passwords of the two logins.
pub struct Passwords {
    pub admin: String,
    pub customer: String,
}

/// Fills an empty database.
pub async fn fill(app: &App, passwords: &Passwords, node_exporter: u16) -> Result<()> {
    let all = All::operator();
    let by = Actor::program("demo");
    let mut db = app.db(all).await?;
    for (external_id, name, comment) in OWNERS {
        let input = OwnerInput {
            name: name.into(),
            external_id: external_id.into(),
            comment: comment.into(),
            ..OwnerInput::default()
        };
        owners::create(&mut db, all, input.check()?, &by).await?;
    }
    for (owner, external_id, name, address, port, comment, enabled) in SERVERS {
        let owner = owners::by_external_id(&mut db, &all.into(), owner).await?;
        let input = ServerInput {
            name: name.into(),
            address: address.into(),
            port: if port == 0 { node_exporter } else { port }.to_string(),
            external_id: external_id.into(),
            comment: comment.into(),
            enabled: enabled.then(|| "on".into()),
            ..ServerInput::default()
        };
        let new = input.check(Reach::Any(all), None, app.our_labels()).await?;
        owners::find_rw(&mut db, &all.into(), owner.id).await?.add_server(&mut db, new, &by).await?;
    }
    let kinds = Catalogue::built_in();
    let threshold = |rule: &str, severity: &str, value: &str, hold: &str| ThresholdInput {
        rule: rule.into(),
        severity: severity.into(),
        value: value.into(),
        hold: hold.into(),
        enabled: Some("on".into()),
    };
    // short holds, so that nobody waits for the first alert
    thresholds::set_default(
        &mut db,
        all,
        threshold("service_down", "critical", "", "10s").check(&kinds)?,
        &by,
    )
    .await?;
    thresholds::set_default(
        &mut db,
        all,
        threshold("cpu_threshold_exceeded", "warning", "85", "30s").check(&kinds)?,
        &by,
    )
    .await?;
    let acme = owners::by_external_id(&mut db, &all.into(), "12").await?;
    let acme = owners::find_rw(&mut db, &all.into(), acme.id).await?;
    acme.set_threshold(
        &mut db,
        threshold("cpu_threshold_exceeded", "warning", "60", "30s").check(&kinds)?,
        &by,
    )
    .await?;
    let admin = NewUser::check("admin", passwords.admin.clone(), true).await?;
    users::create(&mut db, all, admin, &by).await?;
    let customer = NewUser::check("nordwind", passwords.customer.clone(), false).await?;
    users::create(&mut db, all, customer.with_role(CUSTOMER, Role::Manager), &by).await?;
    Ok(())
}

/// Points the demo's servers to where node_exporter is now, when its usual port was taken.
pub async fn follow(app: &App, node_exporter: u16) -> Result<()> {
    let all = All::operator();
    let mut db = app.db(all).await?;
    for (owner, external_id, _, _, port, ..) in SERVERS {
        let found = servers::by_external_ids(&mut db, all, owner, external_id).await?;
        let Some(server) = found.filter(|server| port == 0 && server.port != i32::from(node_exporter)) else {
            continue;
        };
        let input = ServerInput { port: node_exporter.to_string(), ..ServerInput::of(&server) };
        let new =
            input.check(Reach::Any(all), None, app.our_labels()).await.context("a server of the demo")?;
        let by = Actor::program("demo");
        servers::find_rw(&mut db, &all.into(), server.id).await?.update(&mut db, new, &by).await?;
    }
    Ok(())
}
