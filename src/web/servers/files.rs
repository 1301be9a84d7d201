//! Servers as a file, to be edited elsewhere and imported again.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Query;
use crate::import::{COLUMNS, record};
use crate::store::servers::{self, Filter, Server};
use crate::web::files::{BATCH, Form, List, Row, send};

/// `GET /servers.csv`
pub async fn csv(State(app): State<App>, user: User, Query(filter): Query<Filter>) -> Result<Response> {
    send(Servers { app, user, filter }, Form::Csv).await
}

/// `GET /servers.json`
pub async fn json(State(app): State<App>, user: User, Query(filter): Query<Filter>) -> Result<Response> {
    send(Servers { app, user, filter }, Form::Json).await
}

struct Servers {
    app: App,
    user: User,
    filter: Filter,
}

impl List for Servers {
    const NAME: &'static str = "servers";
    const COLUMNS: &'static [&'static str] = &COLUMNS;
    type Row = Listed;
    type Place = i64;

    async fn batch(&self, after: Option<i64>) -> Result<(Vec<Listed>, Option<i64>)> {
        let mut db = self.app.db(&self.user).await?;
        let rows = servers::export(&mut db, &self.user.scope(), &self.filter, after, BATCH).await?;
        let more = i64::try_from(rows.len()).is_ok_and(|n| n == BATCH);
        let last = rows.last().map(|(server, _)| server.id).filter(|_| more);
        Ok((rows.into_iter().map(|(server, owner)| Listed { server, owner }).collect(), last))
    }
}

struct Listed {
    server: Server,
    /// The owner's external id.
    owner: String,
}

/// A server, by the names of its columns.
#[derive(Serialize)]
struct Line<'a> {
    owner_external_id: &'a str,
    external_id: &'a str,
    name: &'a str,
    address: &'a str,
    port: i32,
    job: &'a str,
    scheme: &'a str,
    metrics_path: &'a str,
    enabled: bool,
    labels: &'a Value,
    comment: &'a str,
}

impl Row for Listed {
    fn csv(&self) -> String {
        let server = &self.server;
        record([
            self.owner.as_str(),
            &server.external_id,
            &server.name,
            &server.address,
            &server.port.to_string(),
            &server.job,
            &server.scheme,
            &server.metrics_path,
            if server.enabled { "true" } else { "false" },
            &server.label_lines(),
            &server.comment,
        ])
    }

    fn json(&self) -> impl Serialize {
        let server = &self.server;
        Line {
            owner_external_id: &self.owner,
            external_id: &server.external_id,
            name: &server.name,
            address: &server.address,
            port: server.port,
            job: &server.job,
            scheme: &server.scheme,
            metrics_path: &server.metrics_path,
            enabled: server.enabled,
            labels: &server.labels,
            comment: &server.comment,
        }
    }
}
