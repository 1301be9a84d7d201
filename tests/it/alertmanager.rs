//! Alertmanager, as far as the webhook sees it.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Map, Value, json};

use crate::house::{House, TOKEN};
use crate::page::Page;
use crate::person::Person;

/// The version 3 sample of the product's description, as it stands there.
pub const SAMPLE: &str = r#"{"alerts": [
   {"annotations": {"summary": "Instance 1.2.3.4:9100 is down"},
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://0c680b8917a9:9090/graph?g0.expr=up+%3D%3D+0\u0026g0.tab=0",
    "labels": {"alertname": "service_down", "cloudnet_owner_id": "11",
               "cloudnet_server_id": "4386", "instance": "1.2.3.4:9100", "job": "node"},
    "startsAt": "2017-01-12T14:44:37.805Z", "status": "firing"},
   {"annotations": {"summary": "Instance 1.2.3.4:9100 is down"},
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://0c680b8917a9:9090/graph?g0.expr=up+%3D%3D+0\u0026g0.tab=0",
    "labels": {"alertname": "service_down", "cloudnet_owner_id": "11",
               "cloudnet_server_id": "4385", "instance": "1.2.3.4:9100", "job": "node"},
    "startsAt": "2017-01-12T14:44:37.805Z", "status": "firing"}],
 "commonAnnotations": {},
 "commonLabels": {"alertname": "service_down", "cloudnet_owner_id": "11", "job": "node"},
 "externalURL": "http://56272fa974e2:9093",
 "groupKey": 11840296893788715932,
 "groupLabels": {"alertname": "service_down"},
 "receiver": "webhook", "status": "firing", "version": "3"}
"#;

/// What is said of one alert.
#[derive(Clone)]
pub struct Alert {
    labels: Map<String, Value>,
    summary: String,
    began: String,
    ended: Option<String>,
    expression: String,
}

/// `service_down` (critical) of a server of owner 11, which began at 10:00 and fires.
pub fn alert(server: &str) -> Alert {
    let labels = json!({
        "alertname": "service_down", "severity": "critical", "cloudnet_owner_id": "11", "cloudnet_server_id": server,
        "instance": format!("host-{server}:9100"), "job": "node",
    });
    let Value::Object(labels) = labels else { unreachable!() };
    Alert {
        labels,
        summary: format!("Instance host-{server} is down"),
        began: moment("10:00"),
        ended: None,
        expression: "up".into(),
    }
}

/// A time of the tests' one day, given as `10:00` or `10:00:30`, or any other as it stands.
fn moment(text: &str) -> String {
    match text.len() {
        5 => format!("2026-11-01T{text}:00Z"),
        8 => format!("2026-11-01T{text}Z"),
        _ => text.to_owned(),
    }
}

impl Alert {
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// With these labels and no others.
    pub fn only(mut self, labels: &[(&str, &str)]) -> Self {
        self.labels.clear();
        labels.iter().fold(self, |alert, (name, value)| alert.label(name, value))
    }

    pub fn owner(self, external_id: &str) -> Self {
        self.label("cloudnet_owner_id", external_id)
    }

    pub fn rule(self, name: &str) -> Self {
        self.label("alertname", name)
    }

    pub fn severity(self, name: &str) -> Self {
        self.label("severity", name)
    }

    pub fn summary(mut self, text: &str) -> Self {
        self.summary = text.to_owned();
        self
    }

    pub fn began(mut self, at: &str) -> Self {
        self.began = moment(at);
        self
    }

    /// It is resolved.
    pub fn ended(mut self, at: &str) -> Self {
        self.ended = Some(moment(at));
        self
    }

    /// It is of a rule with this expression.
    pub fn expression(mut self, promql: &str) -> Self {
        self.expression = promql.to_owned();
        self
    }

    /// As a member of `alerts`.
    pub fn json(&self) -> Value {
        let status = if self.ended.is_some() { "resolved" } else { "firing" };
        let expression = url::form_urlencoded::byte_serialize(self.expression.as_bytes()).collect::<String>();
        json!({
            "status": status, "labels": self.labels, "annotations": {"summary": self.summary},
            "startsAt": self.began, "endsAt": self.ended.as_deref().unwrap_or("0001-01-01T00:00:00Z"),
            "generatorURL": format!("http://prometheus.example:9090/graph?g0.expr={expression}"), "fingerprint": "ignored",
        })
    }
}

/// A notification of version 4.
pub fn notification(alerts: Vec<Value>) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"service_down\"}", "truncatedAlerts": 0, "receiver": "prommgr",
        "status": "firing", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093", "alerts": alerts,
    })
}

/// A delivery as Alertmanager posts it: no `Origin`, no `Sec-Fetch-Site`, a bearer token.
pub fn delivery(body: impl Into<Body>) -> Request<Body> {
    Request::post("/webhook/alertmanager")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "Alertmanager/0.25.0")
        .body(body.into())
        .unwrap()
}

impl House {
    /// Posts a body to the webhook.
    pub async fn posted(&self, body: impl Into<Body>) -> Page {
        Person::new(&self.app).send(delivery(body)).await
    }

    /// Has Alertmanager report these alerts, which is accepted; returns what that changed.
    pub async fn told(&self, alerts: &[Alert]) -> Value {
        let alerts = alerts.iter().map(Alert::json).collect();
        self.posted(notification(alerts).to_string()).await.expect(200).json()
    }

    /// The history, oldest first: `4386 10:00-` is open, `4386 10:00-10:20` is over.
    pub async fn history(&self) -> Vec<String> {
        self.column(
            "select server_external_id || to_char(started_at at time zone 'UTC', ' HH24:MI-') || \
             coalesce(to_char(ended_at at time zone 'UTC', 'HH24:MI'), '') from alerts order by started_at, server_external_id",
        )
        .await
    }
}
