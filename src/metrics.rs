//! What Prometheus may know of prommgr itself: the one registry of the process. The names follow
//! <https://prometheus.io/docs/practices/naming/>; who counts uses the macros of the crate `metrics`.

use std::sync::LazyLock;

use ::metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper ends of the buckets of what takes time.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

static REGISTRY: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS);
    let handle = builder.and_then(PrometheusBuilder::install_recorder);
    let handle = handle.map_err(|error| tracing::error!(%error, "nothing is counted")).ok()?;
    describe_gauge!("prommgr_build_info", "1, with the version that runs.");
    describe_counter!("prommgr_http_requests_total", "Requests answered, by route, method and status.");
    describe_histogram!(
        "prommgr_http_request_duration_seconds",
        "Time to the head of the answer, by route and method."
    );
    describe_counter!(
        "prommgr_intake_alerts_total",
        "Alerts of deliveries that are stored, by what became of them."
    );
    describe_histogram!(
        "prommgr_intake_transaction_duration_seconds",
        "Time of the transactions that store deliveries."
    );
    describe_gauge!("prommgr_intake_deliveries_waiting", "Deliveries that are not answered yet.");
    describe_gauge!("prommgr_database_connections", "Connections of the pool to PostgreSQL, by state.");
    describe_gauge!("prommgr_database_connections_max", "As many connections as the pool may have.");
    describe_counter!("prommgr_job_runs_total", "Runs of the worker's jobs, by job and result.");
    describe_gauge!(
        "prommgr_job_last_success_timestamp_seconds",
        "When a job of the worker last ended well."
    );
    describe_counter!("prommgr_publications_total", "Publications of this instance, by how they ended.");
    gauge!("prommgr_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Some(handle)
});

/// Begins to count; what was counted before is lost. Once is enough.
pub fn begin() {
    LazyLock::force(&REGISTRY);
}

/// What is known, in Prometheus' text format.
pub fn text() -> String {
    REGISTRY.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Puts measured times into their buckets; left alone they pile up, so it is called now and then.
pub fn tidy() {
    if let Some(registry) = &*REGISTRY {
        registry.run_upkeep();
    }
}
