//! The sample of the product, what Alertmanager's versions differ in, and what nobody should send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SAMPLE: &str = r#"{"alerts": [
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
 "receiver": "webhook", "status": "firing", "version": "3"}"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn received() -> Timestamp {
    at("2026-11-22T12:00:00Z")
}

fn read(body: &Value) -> Delivery {
    parse(body.to_string().as_bytes(), received()).unwrap()
}

/// A good alert with some of its fields replaced; a null removes one.
fn alert(changes: Value) -> Value {
    let mut alert = json!({
        "status": "resolved",
        "labels": {"alertname": "x", "n": "1"},
        "annotations": {"summary": "s"},
        "startsAt": "2026-11-22T10:00:00Z",
        "endsAt": "2026-11-22T11:00:00Z",
        "generatorURL": "https://prometheus/graph",
    });
    for (name, value) in changes.as_object().unwrap() {
        alert[name] = value.clone();
    }
    alert.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    alert
}

fn good(changes: Value) -> Report {
    let delivery = read(&json!({"alerts": [alert(changes)]}));
    assert_eq!(delivery.bad, []);
    delivery.alerts.into_iter().next().unwrap()
}

/// The reason why an alert is refused between two good ones.
fn bad(changes: Value) -> String {
    let alerts = json!([alert(json!({})), alert(changes), alert(json!({}))]);
    let delivery = read(&json!({ "alerts": alerts }));
    assert_eq!(delivery.alerts.len(), 2);
    assert_eq!(delivery.bad.len(), 1);
    assert_eq!(delivery.bad[0].index, 1);
    delivery.bad[0].reason.clone()
}

#[test]
fn the_sample_of_version_3() {
    let delivery = parse(SAMPLE.as_bytes(), received()).unwrap();
    assert_eq!(delivery.outline.version, "3");
    assert_eq!(delivery.outline.group_key, "11840296893788715932");
    assert_eq!(delivery.outline.receiver, "webhook");
    assert_eq!(delivery.outline.external_url.as_deref(), Some("http://56272fa974e2:9093"));
    assert_eq!((delivery.outline.truncated, delivery.bad.len()), (0, 0));
    let [first, second] = &delivery.alerts[..] else {
        panic!("{} alerts", delivery.alerts.len());
    };
    assert_eq!(first.status(), Status::Firing);
    assert_eq!(first.starts_at, at("2017-01-12T14:44:37.805Z"));
    assert_eq!(first.labels["cloudnet_server_id"], "4386");
    assert_eq!(first.annotations["summary"], "Instance 1.2.3.4:9100 is down");
    let url = "http://0c680b8917a9:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=0";
    assert_eq!(first.generator_url.as_deref(), Some(url));
    assert_eq!(fingerprint::hex(first.fingerprint), "078a4a5568adbf6b");
    assert_ne!(first.fingerprint, second.fingerprint);
}

#[test]
fn version_4_and_later() {
    let delivery = read(&json!({
        "version": "4", "groupKey": "{}:{alertname=\"x\"}\u{0}", "truncatedAlerts": 7,
        "receiver": "r", "status": "firing", "routeLabels": {}, "notification_reason": "new",
        "externalURL": "javascript:alert(1)",
        "alerts": [alert(json!({"fingerprint": "wrong", "more": [[[{}]]]}))],
    }));
    assert_eq!(delivery.outline.group_key, "{}:{alertname=\"x\"}\u{FFFD}");
    assert_eq!((delivery.outline.truncated, delivery.alerts.len()), (7, 1));
    assert_eq!(delivery.outline.external_url, None);
    assert_eq!(read(&json!({"version": 5})).outline.version, "5");
    assert_eq!(read(&json!({"truncatedAlerts": "x"})).outline.truncated, 0);
}

#[test]
fn no_alerts_are_no_error() {
    for body in [json!({}), json!({"alerts": null}), json!({"alerts": []})] {
        assert_eq!(read(&body).alerts, []);
    }
}

#[test]
fn what_is_no_notification_is_refused() {
    for body in ["", "x", "[]", "null", "{", r#"{"alerts": 1}"#, "{} {}"] {
        let refused = parse(body.as_bytes(), received()).unwrap_err();
        assert!(refused.to_string().contains("Alertmanager"));
    }
    assert!(parse(b"{\"receiver\": \"\xFF\"}", received()).is_err());
}

#[test]
fn times() {
    let ends = |ends: Value| good(json!({"endsAt": ends})).ends_at.unwrap();
    assert_eq!(ends(json!("2026-11-22T11:00:00Z")), at("2026-11-22T11Z"));
    for unusable in [json!("0001-01-01T00:00:00Z"), json!(null), json!(1), json!("x")] {
        assert_eq!(ends(unusable), received());
    }
    // Before it began.
    let clamped = ends(json!("2026-11-22T09:00:00Z"));
    assert_eq!(clamped, at("2026-11-22T10:00:00Z"));
    assert_eq!(ends(json!("2036-01-01T00:00:00Z")), received(), "nothing has ended in the future");
    let firing = json!({"status": "firing", "endsAt": "2026-11-22T11:00:00Z"});
    assert_eq!(good(firing).ends_at, None);

    let precise = json!({"startsAt": "2026-11-22T09:30:00.123456789-01:30"});
    let expected = at("2026-11-22T11:00:00.123456Z");
    assert_eq!(good(precise).starts_at, expected);
    for unusable in ["0001-01-01T00:00:00Z", "-009999-01-02T00:00:00Z", "", "now"] {
        assert_eq!(bad(json!({"startsAt": unusable})), "no usable startsAt");
    }
}

#[test]
fn one_bad_alert_does_not_spoil_the_others() {
    assert!(bad(json!({"labels": {"a": 1}})).contains("expected a string"));
    assert!(bad(json!({"labels": null})).contains("labels"));
    assert_eq!(bad(json!({"labels": {}})), "no labels");
    assert!(bad(json!({"status": null})).contains("status"));
    assert!(bad(json!({"status": "odd"})).contains("status"));
    assert!(bad(json!({"startsAt": null})).contains("startsAt"));
    let long = "x".repeat(LABEL_MAX + 1);
    assert_eq!(bad(json!({"labels": {"n": long}})), "the label n is too long");
    let many: BTreeMap<String, &str> = (0..=PAIRS_MAX).map(|i| (i.to_string(), "")).collect();
    assert_eq!(bad(json!({"labels": many})), "129 labels, more than 128");

    let body = r#"{"alerts": [7, [], null, {"labels": {"a": "\ud800"}, "status": "firing"}]}"#;
    let delivery = parse(body.as_bytes(), received()).unwrap();
    assert_eq!(delivery.bad.len(), 4);
    assert_eq!(delivery.bad[3].index, 3);
    assert!(delivery.bad[3].raw.contains("\\ud800"));
}

#[test]
fn what_is_said_about_an_alert_is_cut_and_never_spoils_it() {
    let report = good(json!({
        "annotations": {"n": 1, "long": "ä".repeat(TEXT_MAX), "nul": "a\u{0}b", "none": null},
        "generatorURL": "ftp://x/",
    }));
    assert_eq!(report.annotations["n"], "1");
    assert_eq!(report.annotations["nul"], "a\u{FFFD}b");
    let long = &report.annotations["long"];
    assert!(long.len() <= TEXT_MAX && long.len() > TEXT_MAX - 4 && long.ends_with("ä…"));
    assert_eq!(report.generator_url, None);
    assert!(good(json!({"annotations": "x"})).annotations.is_empty());
    for url in ["http://a b/", "https://a/\u{7}", "//a", "data://x", "HTTP//x"] {
        assert_eq!(good(json!({"generatorURL": url})).generator_url, None);
    }
    let upper = good(json!({"generatorURL": "HTTPS://a/"}));
    assert!(upper.generator_url.is_some());
}

#[test]
fn labels_are_data() {
    let report = good(json!({"labels": {"not-a name!": "\u{0}", "": "<b>"}}));
    assert_eq!(report.labels["not-a name!"], "\u{FFFD}");
    assert_eq!(report.labels[""], "<b>");
    let as_it_came = [("not-a name!", "\u{0}"), ("", "<b>")];
    let as_it_came = as_it_came.map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(report.fingerprint, fingerprint::of(&as_it_came.into()));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("firing")),
        Just(json!("resolved")),
        Just(json!("2026-11-22T10:00:00+01:00")),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "alerts",
            "labels",
            "status",
            "startsAt",
            "endsAt",
            "annotations",
            "groupKey",
            "generatorURL",
            "externalURL",
            "truncatedAlerts",
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[^\u{0}]{0,12}", "[^\u{0}]{0,40}", 1..8)
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body: Vec<u8>) {
        let _ = parse(&body, received());
    }

    #[test]
    fn any_json_is_survived(alerts in prop::collection::vec(any_json(), 0..5), more in any_json()) {
        let count = alerts.len();
        let delivery = read(&json!({"alerts": alerts, "groupKey": more}));
        prop_assert_eq!(delivery.alerts.len() + delivery.bad.len(), count);
        let _ = parse(more.to_string().as_bytes(), received());
    }

    #[test]
    fn what_is_sent_is_read(
        labels in pairs(),
        annotations in pairs(),
        start in 0..4_102_444_800_000_000_i64,
        length in prop::option::of(0..1_000_000_000_000_i64),
    ) {
        let time = |micros| Timestamp::from_microsecond(micros).unwrap();
        let starts_at = time(start);
        let ends_at = length.map(|length| time(start + length));
        // nothing has ended in the future
        let ended_at = ends_at.map(|end| end.min(received()).max(starts_at));
        let report = Report {
            fingerprint: fingerprint::of(&labels),
            labels,
            annotations,
            starts_at,
            ends_at: ended_at,
            generator_url: Some("http://p/?q=1".to_owned()),
        };
        let sent = json!({
            "status": if ends_at.is_some() { "resolved" } else { "firing" },
            "labels": report.labels,
            "annotations": report.annotations,
            "startsAt": starts_at.to_string(),
            "endsAt": ends_at.map_or("0001-01-01T00:00:00Z".into(), |t| t.to_string()),
            "generatorURL": report.generator_url,
        });
        let delivery = read(&json!({"alerts": [sent]}));
        prop_assert_eq!(delivery.bad, []);
        prop_assert_eq!(delivery.alerts, [report]);
    }
}
