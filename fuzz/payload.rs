//! What holds of any bytes that come as a notification. cargo-fuzz and the tests call it.

use jiff::Timestamp;
use prommgr::alertmanager::payload::{self, PAIRS_MAX, Report};
use serde_json::json;

/// Panics where something does not hold.
pub fn target(body: &[u8]) {
    let received: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
    let Ok(outline) = payload::outline(body) else {
        assert!(payload::parse(body, received).is_err());
        return;
    };
    let mut end = 0;
    for place in &outline.alerts {
        assert!(end <= place.start && place.start < place.end, "alerts overlap");
        end = place.end;
    }
    assert!(end <= body.len());
    let delivery = payload::parse(body, received).expect("what has an outline can be read");
    assert_eq!(delivery.alerts.len() + delivery.bad.len(), outline.alerts.len());
    for report in delivery.alerts {
        check(&report, received);
    }
}

fn check(report: &Report, received: Timestamp) {
    assert!((1..=PAIRS_MAX).contains(&report.labels.len()) && report.annotations.len() <= PAIRS_MAX);
    assert!(report.ends_at.is_none_or(|end| end >= report.starts_at));
    let texts = report.labels.iter().chain(&report.annotations).flat_map(|(name, value)| [name, value]);
    assert!(texts.chain(&report.generator_url).all(|text| !text.contains('\0')), "PostgreSQL takes no NUL");
    // said as it was understood, it is understood the same
    let again = json!({"alerts": [{
        "status": if report.ends_at.is_some() { "resolved" } else { "firing" },
        "labels": report.labels, "annotations": report.annotations, "generatorURL": report.generator_url,
        "startsAt": report.starts_at.to_string(), "endsAt": report.ends_at.map(|end| end.to_string()),
    }]});
    let again = payload::parse(again.to_string().as_bytes(), received).expect("our own words");
    // a NUL was part of the identity
    let same = Report { fingerprint: report.fingerprint, ..again.alerts[0].clone() };
    assert_eq!(&same, report);
}
