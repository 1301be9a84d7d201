//! Walks the route table as every kind of person, asking for what is Nordwind's. A route without an entry
//! here fails, and so does an entry whose route is gone.

use std::collections::BTreeMap;

use axum::body;
use axum::http::{Method, Request, header};
use prommgr::router::{Door, routes};

use crate::alertmanager::alert;
use crate::house::House;
use crate::page::Page;
use crate::person::Person;

/// What somebody gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gets {
    /// The page (200).
    It,
    /// Done, and sent on to a page of ours (303).
    Done,
    /// Sent to the login.
    Login,
    /// 403: may be seen, not changed.
    No,
    /// 404: there is nothing.
    Nothing,
    /// 422: the same page, with messages; to programs also 409.
    Messages,
    /// 401 as a problem.
    Problem,
}

/// What is sent with an unsafe request.
#[derive(Clone, Copy)]
pub enum Body {
    Form(&'static [(&'static str, &'static str)]),
    Json(&'static str),
}

use Gets::{Done, It, Login, Messages, No, Nothing, Problem};

pub struct Entry {
    pub method: &'static str,
    pub route: &'static str,
    /// With Nordwind's ids in it.
    pub asked: &'static str,
    pub body: Body,
    pub anyone: Gets,
    pub charlie: Gets,
    pub bob: Gets,
    pub alice: Gets,
    pub root: Gets,
}

/// `{owner}`, `{server}`, `{gone}` (a removed one), `{alert}`, `{note}` (at it), `{filter}` (saved by alice), `{import}` (handed in by her), `{kept}` (in quarantine), `{link}` (an invitation), people by
/// name and `{secret}` are filled in; all but `{charlie}`, `{root}` and the last are Nordwind's. `{handle}` and `{token}` are a session and a token of
/// alice's. Where programs ask, the cast presents tokens.
#[rustfmt::skip]
pub fn entries() -> Vec<Entry> {
    let entry = |method, route, asked, form, [anyone, charlie, bob, alice, root]: [Gets; 5]| Entry { method, route, asked, body: Body::Form(form), anyone, charlie, bob, alice, root };
    let json = |method, route, asked, body, gets| Entry { body: Body::Json(body), ..entry(method, route, asked, &[], gets) };
    let (reads, writes) = ([Problem, Nothing, It, It, It], [Problem, Nothing, No, It, It]);
    let (lists, admins_write) = ([Problem, It, It, It, It], [Problem, Nothing, No, No, It]);
    let staff = [Problem, Nothing, Nothing, Nothing, It];
    const SERVER: &[(&str, &str)] = &[("owner_id", "101"), ("name", "mine"), ("address", "10.0.9.9"), ("enabled", "true")];
    const SPARE: &[(&str, &str)] = &[("name", "spare"), ("address", "10.0.9.8"), ("enabled", "true")];
    const OWNER: &[(&str, &str)] = &[("name", "Renamed")];
    const VIEWER: &[(&str, &str)] = &[("role", "viewer")];
    const CPU: &[(&str, &str)] = &[("rule", "cpu_threshold_exceeded"), ("severity", "warning"), ("value", "50"), ("hold", "1m"), ("owner_id", "101")];
    const KIND: &[(&str, &str)] = &[
        ("name", "new_kind"), ("title", "Renamed kind"), ("description", "A number."), ("direction", "above"), ("promql", "some_metric"), ("min", "0"), ("max", "9"),
        ("warning_value", "5"), ("warning_hold", "5m"), ("critical_value", "7"), ("critical_hold", "5m"), ("summary", "{{ $value }}"),
    ];
    const TOKEN: &[(&str, &str)] = &[("name", "mine"), ("owner_id", "101")];
    let (read, people) = ([Login, Nothing, It, It, It], [Login, Nothing, No, Done, Done]);
    let (admins, admins_do) = ([Login, Nothing, Nothing, Nothing, It], [Login, Nothing, Nothing, Nothing, Done]);
    vec![
        //                                                                                     anyone charlie bob  alice root
        entry("GET",  "/",                         "/",                               &[],     [Login, It, It, It, It]),
        entry("GET",  "/login",                    "/login",                          &[],     [It; 5]),
        entry("POST", "/login",                    "/login",                          &[],     [Messages; 5]),
        entry("GET",  "/login/second-factor",      "/login/second-factor",            &[],     [Login; 5]),
        entry("POST", "/login/second-factor",      "/login/second-factor",            &[("code", "123456")], [Login; 5]),
        // nothing without a provider; tests/it/sso.rs has one
        entry("GET",  "/login/sso",                "/login/sso",                      &[],     [Nothing; 5]),
        entry("GET",  "/login/sso/callback",       "/login/sso/callback?state=x&code=y", &[],  [Nothing; 5]),
        entry("GET",  "/account/identity",         "/account/identity",               &[],     [Login, Nothing, Nothing, Nothing, Nothing]),
        entry("POST", "/account/identity",         "/account/identity",               &[],     [Login, Nothing, Nothing, Nothing, Nothing]),
        entry("POST", "/account/identity/removal", "/account/identity/removal",       &[],     [Login, Nothing, Nothing, Nothing, Nothing]),
        entry("POST", "/logout",                   "/logout",                         &[],     [Done; 5]),
        entry("GET",  "/setup/{secret}",           "/setup/{secret}",                 &[],     [Nothing; 5]),
        entry("POST", "/setup/{secret}",           "/setup/{secret}",                 &[("username", "eve"), ("password", "0123456789"), ("password_again", "0123456789")], [Nothing; 5]),
        entry("GET",  "/password/{secret}",        "/password/{secret}",              &[],     [Nothing; 5]),
        entry("POST", "/password/{secret}",        "/password/{secret}",              &[("password", "0123456789"), ("password_again", "0123456789")], [Nothing; 5]),
        entry("GET",  "/join/{secret}",            "/join/{secret}",                  &[],     [Nothing; 5]),
        entry("POST", "/join/{secret}",            "/join/{secret}",                  &[("username", "eve"), ("password", "0123456789"), ("password_again", "0123456789")], [Nothing; 5]),
        entry("POST", "/theme",                    "/theme",                          &[("theme", "dark")], [Done; 5]),
        entry("GET",  "/view",                     "/view",                           &[],     [Login, It, It, It, It]),
        entry("POST", "/view",                     "/view",                           &[("owner", "101")], [Login, Nothing, Done, Done, Done]),
        entry("POST", "/view",                     "/view",                           &[],     [Login, Done, Done, Done, Done]),
        entry("GET",  "/account",                  "/account",                        &[],     [Login, It, It, It, It]),
        entry("POST", "/account",                  "/account",                        &[("time_zone", "UTC")], [Login, Done, Done, Done, Done]),
        entry("GET",  "/account/password",         "/account/password",               &[],     [Login, It, It, It, It]),
        entry("POST", "/account/password",         "/account/password",               &[("current_password", "wrong")], [Login, Messages, Messages, Messages, Messages]),
        entry("POST", "/account/sessions/{handle}/end", "/account/sessions/{handle}/end", &[], [Login, Nothing, Nothing, Done, Nothing]),
        entry("POST", "/account/sessions/others/end", "/account/sessions/others/end", &[],     [Login, Done, Done, Done, Done]),
        entry("GET",  "/account/tokens",           "/account/tokens",                 &[],     [Login, It, It, It, It]),
        entry("GET",  "/account/tokens/new",       "/account/tokens/new",             &[],     [Login, It, It, It, It]),
        entry("POST", "/account/tokens",           "/account/tokens",                 TOKEN,   [Login, Messages, It, It, It]),
        entry("POST", "/account/tokens/{id}/revocation", "/account/tokens/{token}/revocation", &[], [Login, Nothing, Nothing, Done, Nothing]),
        entry("GET",  "/docs",                     "/docs",                           &[],     [It; 5]),
        entry("GET",  "/docs/{name}",              "/docs/swagger-ui.css",            &[],     [It; 5]),
        entry("GET",  "/api/openapi.json",         "/api/openapi.json",               &[],     [It; 5]),
        entry("GET",  "/api/v1/me",                "/api/v1/me",                      &[],     [Problem, It, It, It, It]),
        entry("GET",  "/metrics",                  "/metrics",                        &[],     [Problem, Nothing, Nothing, Nothing, It]),
        json("GET",   "/api/v1/owners",            "/api/v1/owners",                  "",      lists),
        json("GET",   "/api/v1/owners",            "/api/v1/owners?external_id=11",   "",      lists),
        json("GET",   "/api/v1/owners",            "/api/v1/owners?q=Nord",           "",      lists),
        json("GET",   "/api/v1/owners/{id}",       "/api/v1/owners/{owner}",          "",      reads),
        json("POST",  "/api/v1/owners",            "/api/v1/owners",                  r#"{"name": "Neu"}"#, [Problem, No, No, No, Done]),
        json("PUT",   "/api/v1/owners",            "/api/v1/owners?external_id=11",   r#"{"name": "Nordwind", "comment": "put"}"#, [Problem, No, No, No, It]),
        json("PATCH", "/api/v1/owners/{id}",       "/api/v1/owners/{owner}",          r#"{"comment": "patched"}"#, admins_write),
        json("GET",   "/api/v1/servers",           "/api/v1/servers",                 "",      lists),
        json("GET",   "/api/v1/servers",           "/api/v1/servers?owner_id={owner}", "",     lists),
        json("GET",   "/api/v1/servers",           "/api/v1/servers?owner_external_id=11", "", lists),
        json("GET",   "/api/v1/servers",           "/api/v1/servers?external_id=secret-server-id", "", lists),
        json("GET",   "/api/v1/servers",           "/api/v1/servers?address=10.11.12.13", "",  lists),
        json("GET",   "/api/v1/servers",           "/api/v1/servers?q=nord",          "",      lists),
        json("GET",   "/api/v1/servers/{id}",      "/api/v1/servers/{server}",        "",      reads),
        json("POST",  "/api/v1/servers",           "/api/v1/servers",                 r#"{"owner_id": 101, "name": "nord-api", "address": "10.0.9.7"}"#, [Problem, Messages, No, Done, Messages]),
        json("POST",  "/api/v1/servers",           "/api/v1/servers",                 r#"{"owner_external_id": "11", "name": "nord-api", "address": "10.11.12.13"}"#, [Problem, Messages, No, Messages, Messages]),
        json("PUT",   "/api/v1/servers",           "/api/v1/servers?owner_id={owner}&external_id=put", r#"{"name": "nord-put", "address": "10.0.9.6"}"#, [Problem, Nothing, No, Done, It]),
        json("PUT",   "/api/v1/servers",           "/api/v1/servers?owner_external_id=11&external_id=secret-server-id", r#"{"name": "nord-web", "address": "10.11.12.13", "port": 9102, "comment": "behind the third door", "labels": {"rack": "nord-rack"}}"#, writes),
        json("PATCH", "/api/v1/servers/{id}",      "/api/v1/servers/{server}",        r#"{"port": 9101}"#, writes),
        json("GET",   "/api/v1/owners/{id}/members", "/api/v1/owners/{owner}/members", "",     reads),
        json("PUT",   "/api/v1/owners/{id}/members/{user_id}", "/api/v1/owners/{owner}/members/{bob}", r#"{"role": "viewer"}"#, writes),
        json("DELETE", "/api/v1/owners/{id}/members/{user_id}", "/api/v1/owners/{owner}/members/{charlie}", "", [Problem, Nothing, No, Nothing, Nothing]),
        json("POST",  "/api/v1/owners/{id}/invitations", "/api/v1/owners/{owner}/invitations", r#"{"role": "viewer", "note": "eve"}"#, [Problem, Nothing, No, Done, Done]),
        json("GET",   "/api/v1/users",             "/api/v1/users",                   "",      staff),
        json("POST",  "/api/v1/users",             "/api/v1/users",                   r#"{"name": "eva", "owner_external_id": "11"}"#, [Problem, Nothing, Nothing, Nothing, Done]),
        json("GET",   "/api/v1/users/{id}",        "/api/v1/users/{bob}",             "",      staff),
        json("PATCH", "/api/v1/users/{id}",        "/api/v1/users/{bob}",             r#"{"enabled": true}"#, staff),
        json("GET",   "/api/v1/tokens",            "/api/v1/tokens",                  "",      lists),
        json("POST",  "/api/v1/tokens",            "/api/v1/tokens",                  r#"{"name": "by-api", "owner_id": 101}"#, [Problem, Messages, Done, Done, Done]),
        json("GET",   "/api/v1/audit",             "/api/v1/audit",                   "",      lists),
        json("GET",   "/api/v1/audit",             "/api/v1/audit?owner_id={owner}",  "",      lists),
        json("GET",   "/api/v1/alerts",            "/api/v1/alerts",                  "",      lists),
        json("GET",   "/api/v1/alerts",            "/api/v1/alerts?owner_id={owner}", "",      lists),
        json("GET",   "/api/v1/alerts",            "/api/v1/alerts?server_id={server}", "",    lists),
        json("GET",   "/api/v1/alerts",            "/api/v1/alerts?q=rack%3Dnord-rack", "",    lists),
        json("GET",   "/api/v1/alerts/{id}",       "/api/v1/alerts/{alert}",          "",      reads),
        entry("GET",  "/owners",                   "/owners",                         &[],     [Login, It, It, It, It]),
        entry("POST", "/owners",                   "/owners",                         OWNER,   admins_do),
        entry("GET",  "/owners/new",               "/owners/new",                     &[],     admins),
        entry("GET",  "/owners/{id}",              "/owners/{owner}",                 &[],     read),
        entry("POST", "/owners/{id}",              "/owners/{owner}",                 &[("name", "Nordwind"), ("external_id", "11"), ("comment", "new")], admins_do),
        entry("GET",  "/owners/{id}/edit",         "/owners/{owner}/edit",            &[],     admins),
        entry("GET",  "/owners/{id}/members",      "/owners/{owner}/members",         &[],     read),
        entry("POST", "/owners/{id}/members/{user}", "/owners/{owner}/members/{bob}", VIEWER,  people),
        entry("POST", "/owners/{id}/members/{user}", "/owners/{owner}/members/{charlie}", VIEWER, [Login, Nothing, No, Nothing, Nothing]),
        entry("POST", "/owners/{id}/members/{user}/removal", "/owners/{owner}/members/{charlie}/removal", &[], [Login, Nothing, No, Nothing, Nothing]),
        entry("POST", "/owners/{id}/invitations",  "/owners/{owner}/invitations",     &[("role", "viewer"), ("note", "eve")], [Login, Nothing, No, It, It]),
        entry("POST", "/owners/{id}/invitations/{link}/revocation", "/owners/{owner}/invitations/{link}/revocation", &[], [Login, Nothing, No, Done, Nothing]),
        entry("POST", "/owners/{id}/invitations/{link}/revocation", "/owners/102/invitations/{link}/revocation", &[], [Login, Nothing, Nothing, Nothing, Nothing]),
        entry("GET",  "/users",                    "/users",                          &[],     admins),
        entry("POST", "/users",                    "/users",                          &[("name", "eve"), ("owner", "11"), ("role", "viewer")], [Login, Nothing, Nothing, Nothing, It]),
        entry("GET",  "/users/new",                "/users/new",                      &[],     admins),
        entry("GET",  "/users/{id}",               "/users/{bob}",                    &[],     admins),
        entry("POST", "/users/{id}",               "/users/{bob}",                    &[("name", "bob")], admins_do),
        entry("POST", "/users/{id}/admin",         "/users/{bob}/admin",              &[("admin", "false")], admins_do),
        entry("POST", "/users/{id}/enabled",       "/users/{bob}/enabled",            &[("enabled", "true")], admins_do),
        entry("POST", "/users/{id}/password",      "/users/{bob}/password",           &[],     [Login, Nothing, Nothing, Nothing, It]),
        entry("POST", "/users/{id}/second-factor/removal", "/users/{bob}/second-factor/removal", &[], admins_do),
        entry("POST", "/users/{id}/memberships",   "/users/{root}/memberships",       &[("owner", "11"), ("role", "viewer")], admins_do),
        entry("POST", "/users/{id}/memberships/{owner}", "/users/{bob}/memberships/{owner}", VIEWER, admins_do),
        entry("GET",  "/servers",                  "/servers",                        &[],     [Login, It, It, It, It]),
        entry("POST", "/servers",                  "/servers",                        SERVER,  [Login, Messages, No, Done, Messages]),
        entry("GET",  "/servers.csv",              "/servers.csv?owner={owner}",      &[],     [Login, It, It, It, It]),
        entry("GET",  "/servers.json",             "/servers.json",                   &[],     [Login, It, It, It, It]),
        entry("GET",  "/servers/import",           "/servers/import",                 &[],     [Login, It, No, It, It]),
        entry("POST", "/servers/import",           "/servers/import",                 &[],     [Login, Messages, No, Messages, Messages]),
        entry("GET",  "/servers/import/{id}",      "/servers/import/{import}",        &[],     [Login, Nothing, Nothing, It, Nothing]),
        entry("POST", "/servers/import/{id}",      "/servers/import/{import}",        &[],     [Login, Nothing, Nothing, Done, Nothing]),
        entry("GET",  "/servers/new",              "/servers/new?owner={owner}",      &[],     [Login, It, No, It, It]),
        entry("GET",  "/servers/{id}",             "/servers/{server}",               &[],     read),
        entry("POST", "/servers/{id}",             "/servers/{server}",               SPARE,   people),
        entry("GET",  "/servers/{id}/edit",        "/servers/{server}/edit",          &[],     [Login, Nothing, No, It, It]),
        entry("GET",  "/servers/{id}/thresholds",  "/servers/{server}/thresholds",    &[],     read),
        entry("POST", "/servers/{id}/enabled",     "/servers/{server}/enabled",       &[("enabled", "false")], people),
        entry("POST", "/servers/{id}/restoration", "/servers/{gone}/restoration",     &[],     [Login, Nothing, No, Done, Nothing]),
        entry("GET",  "/thresholds",               "/thresholds?owner={owner}",       &[],     read),
        entry("GET",  "/thresholds",               "/thresholds?owner=102&server={server}", &[], [Login, Nothing, Nothing, Nothing, It]),
        entry("POST", "/thresholds",               "/thresholds",                     CPU,     people),
        entry("GET",  "/thresholds/matrix",        "/thresholds/matrix?show=all",     &[],     [Login, It, It, It, It]),
        entry("GET",  "/thresholds/kinds",         "/thresholds/kinds",               &[],     admins),
        entry("GET",  "/thresholds/kinds/new",     "/thresholds/kinds/new",           &[],     admins),
        // no Prometheus tries it here; tests/it/kinds.rs has one
        entry("POST", "/thresholds/kinds",         "/thresholds/kinds",               KIND,    [Login, Nothing, Nothing, Nothing, Messages]),
        entry("GET",  "/thresholds/kinds/{name}",  "/thresholds/kinds/common_kind",   &[],     admins),
        entry("POST", "/thresholds/kinds/{name}",  "/thresholds/kinds/common_kind",   KIND,    admins_do),
        entry("POST", "/thresholds/kinds/{name}/removal", "/thresholds/kinds/common_kind/removal", &[], admins_do),
        entry("POST", "/thresholds/kinds/{name}/restoration", "/thresholds/kinds/common_kind/restoration", &[], admins_do),
        entry("POST", "/thresholds/trial",         "/thresholds/trial",               CPU,     [Login, Nothing, No, It, It]),
        entry("POST", "/thresholds/reset",         "/thresholds/reset",               CPU,     people),
        entry("GET",  "/alerts",                   "/alerts",                         &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts",                   "/alerts?owner={owner}",           &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts",                   "/alerts?server={server}",         &[],     read),
        entry("GET",  "/alerts/figures",           "/alerts/figures",                 &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts/figures",           "/alerts/figures?server={server}", &[],     read),
        entry("GET",  "/alerts.csv",               "/alerts.csv",                     &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts.json",              "/alerts.json",                    &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts/live",              "/alerts/live",                    &[],     [Login, It, It, It, It]),
        entry("GET",  "/alerts/filters",           "/alerts/filters?owner={owner}&server={server}", &[], [Login, It, It, It, It]),
        entry("POST", "/alerts/filters",           "/alerts/filters",                 &[("name", "mine"), ("state", "open")], [Login, Done, Done, Done, Done]),
        entry("POST", "/alerts/filters/{id}",      "/alerts/filters/{filter}",        &[("name", "nord-filter")], [Login, Nothing, Nothing, Done, Nothing]),
        entry("POST", "/alerts/filters/{id}/removal", "/alerts/filters/{filter}/removal", &[], [Login, Nothing, Nothing, Done, Nothing]),
        entry("GET",  "/alerts/quarantine",        "/alerts/quarantine",              &[],     admins),
        entry("GET",  "/alerts/{id}",              "/alerts/{alert}",                 &[],     read),
        entry("GET",  "/alerts/{id}/value",        "/alerts/{alert}/value",           &[],     read),
        entry("POST", "/alerts/{id}/acknowledgement", "/alerts/{alert}/acknowledgement", &[],  people),
        entry("POST", "/alerts/{id}/acknowledgement/removal", "/alerts/{alert}/acknowledgement/removal", &[], people),
        entry("POST", "/alerts/{id}/notes",        "/alerts/{alert}/notes",           &[("text", "nord-note")], people),
        entry("POST", "/alerts/{id}/notes/{note}/removal", "/alerts/{alert}/notes/{note}/removal", &[], [Login, Nothing, No, Done, Nothing]),
        entry("GET",  "/publications",             "/publications",                   &[],     admins),
        entry("GET",  "/publications/compare",     "/publications/compare",           &[],     admins),
        entry("GET",  "/publications/{id}",        "/publications/{publication}",     &[],     admins),
        // a viewer has no audit: what their colleagues did is no row that they may see and not change
        entry("GET",  "/audit",                    "/audit?owner={owner}",            &[],     [Login, It, Nothing, It, It]),
        entry("GET",  "/audit",                    "/audit",                          &[],     [Login, It, Nothing, It, It]),
        entry("GET",  "/audit.csv",                "/audit.csv",                      &[],     [Login, It, Nothing, It, It]),
        entry("GET",  "/audit.json",               "/audit.json",                     &[],     [Login, It, Nothing, It, It]),
        entry("GET",  "/account/second-factor",    "/account/second-factor",          &[],     [Login, It, It, It, It]),
        entry("POST", "/account/second-factor",    "/account/second-factor",          &[],     [Login, Done, Done, Done, Done]),
        entry("POST", "/account/second-factor/confirmation", "/account/second-factor/confirmation", &[("code", "no")], [Login, Messages, Messages, Messages, Messages]),
        entry("POST", "/account/second-factor/recovery-codes", "/account/second-factor/recovery-codes", &[], [Login, Done, Done, Done, Done]),
        entry("POST", "/account/second-factor/removal", "/account/second-factor/removal", &[], [Login, Done, Done, Done, Done]),
        entry("GET",  "/static/{hash}/{name}",     "/static/000000000000/app.css",    &[],     [Nothing; 5]),
        entry("POST", "/webhook/alertmanager",     "/webhook/alertmanager",           &[],     [Problem; 5]),
        entry("POST", "/webhook/alertmanager/",    "/webhook/alertmanager/",          &[],     [Problem; 5]),
        entry("GET",  "/healthz",                  "/healthz",                        &[],     [It; 5]),
        entry("GET",  "/readyz",                   "/readyz",                         &[],     [It; 5]),
        entry("GET",  "/alerts/quarantine/{id}",   "/alerts/quarantine/{kept}",       &[],     admins),
        entry("POST", "/alerts/quarantine/{id}/replay", "/alerts/quarantine/{kept}/replay", &[], admins_do),
        entry("POST", "/alerts/quarantine/replay", "/alerts/quarantine/replay",       &[],     admins_do),
        // what takes things away comes last
        entry("POST", "/alerts/quarantine/{id}/removal", "/alerts/quarantine/{kept}/removal", &[], admins_do),
        entry("POST", "/alerts/quarantine/removal", "/alerts/quarantine/removal",     &[],     admins_do),
        entry("POST", "/publications/automatic",   "/publications/automatic",         &[("quiet_seconds", "60")], admins_do),
        entry("POST", "/publications/{id}/restoration", "/publications/{publication}/restoration", &[], admins_do),
        entry("POST", "/publications/discard",     "/publications/discard",           &[],     admins_do),
        entry("POST", "/publications",             "/publications",                   &[],     admins_do),
        entry("POST", "/users/{id}/logout",        "/users/{dora}/logout",            &[],     admins_do),
        entry("POST", "/users/{id}/memberships/{owner}/removal", "/users/{alice}/memberships/102/removal", &[], [Login, Nothing, Nothing, Nothing, Nothing]),
        entry("POST", "/owners/{id}/members/{user}/removal", "/owners/{owner}/members/{dora}/removal", &[], [Login, Nothing, No, Done, Nothing]),
        entry("POST", "/users/{id}/memberships/{owner}/removal", "/users/{emil}/memberships/{owner}/removal", &[], admins_do),
        entry("POST", "/users/{id}/removal",       "/users/{emil}/removal",           &[],     admins_do),
        json("DELETE", "/api/v1/owners/{id}/members/{user_id}", "/api/v1/owners/{owner}/members/{flora}", "", [Problem, Nothing, No, Done, Nothing]),
        json("DELETE", "/api/v1/users/{id}",       "/api/v1/users/{flora}",           "",      [Problem, Nothing, Nothing, Nothing, Done]),
        json("DELETE", "/api/v1/tokens/{id}",      "/api/v1/tokens/{spare}",          "",      [Problem, Nothing, Nothing, Done, Nothing]),
        json("DELETE", "/api/v1/servers/{id}",     "/api/v1/servers/{gone}",          "",      [Problem, Nothing, No, Done, Nothing]),
        entry("POST", "/servers/{id}/removal",     "/servers/{server}/removal",       &[],     [Login, Nothing, No, Done, Nothing]),
        entry("POST", "/owners/{id}/removal",      "/owners/{owner}/removal",         &[],     admins_do),
        entry("POST", "/owners/{id}/restoration",  "/owners/{owner}/restoration",     &[],     admins_do),
        json("DELETE", "/api/v1/owners/{id}",      "/api/v1/owners/{owner}",          "",      [Problem, Nothing, No, No, Done]),
    ]
}

/// What only Nordwind's people may read.
pub const SECRETS: [&str; 15] = [
    "Nordwind",
    "nord-web",
    "nord-old",
    "10.11.12.13",
    "secret-server-id",
    "behind the third door",
    "nord-rack",
    "nord-deploy",
    "all nord-light is gone",
    "nord-newcomer",
    "nord-note",
    "nord-remark",
    "nord-filter",
    "nord-file",
    "nord-spare",
];

/// What is Nordwind's, and what the staff see of it.
pub struct Scene {
    pub house: House,
    pub server: i64,
    gone: i64,
    pub alert: String,
    publication: String,
    kept: String,
    /// Of alice, at the alert.
    note: String,
    /// Saved by alice.
    filter: String,
    /// Handed in by alice.
    import: String,
    /// An invitation.
    link: String,
    /// Name and id of each.
    people: Vec<(String, String)>,
    /// Of alice.
    handle: String,
    token: String,
    spare: String,
    /// What programs present, by who they are.
    secrets: BTreeMap<&'static str, String>,
}

impl Scene {
    pub async fn new() -> Self {
        let house = House::new().await;
        let server = house.server(house.nordwind, "secret-server-id", "nord-web", "10.11.12.13").await;
        let gone = house.server(house.nordwind, "secret-old", "nord-old", "10.11.12.14").await;
        let sql = "update servers set comment = 'behind the third door', labels = '{\"rack\": \"nord-rack\"}' where id = $1";
        house.db.execute(sql, &[&server]).await.unwrap();
        house.db.execute("update servers set removed_at = now() where id = $1", &[&gone]).await.unwrap();
        house
            .told(&[alert("secret-server-id").label("rack", "nord-rack").summary("all nord-light is gone")])
            .await;
        for _ in 0..2 {
            house.posted("nord-rack is no JSON").await.expect(400);
        }
        house.db.batch_execute("insert into publications (user_name, revision, state, servers, reason) values ('root', 'x', 'failed', 1, 'nord-web')").await.unwrap();
        let alert = house.column("select id::text from alerts").await.remove(0);
        house.db.batch_execute("insert into alert_notes (alert_id, received_at, owner_id, user_id, user_name, staff, text) \
            select a.id, received_at, owner_id, u.id, u.name, false, 'nord-remark' from alerts a, users u where u.name = 'alice'").await.unwrap();
        let note = house.column("select id::text from alert_notes").await.remove(0);
        house.db.batch_execute("insert into saved_filters (user_id, name, query) select id, 'nord-filter', 'state=open&owner=101' from users where name = 'alice'").await.unwrap();
        house.db.batch_execute("insert into rule_kinds (name, title, description, unit, direction, promql, needs, least, most, summary, \
              warning_value, warning_hold_seconds, warning_enabled, critical_value, critical_hold_seconds, critical_enabled) \
            values ('common_kind', 'Common kind', 'A number.', '', 'above', 'some_metric', 'some_metric', 0, 9, 'x', 5, 300, false, 7, 300, false); \
            insert into thresholds (rule, severity, value, hold_seconds, enabled) values ('common_kind', 'warning', 6, 60, true)").await.unwrap();
        let filter = house.column("select id::text from saved_filters").await.remove(0);
        house.db.batch_execute("insert into imports (user_id, name, content, remove) select id, 'nord-file.csv', E'name,address\\nnord-spare,10.0.9.5\\n', false from users where name = 'alice'").await.unwrap();
        let import = house.column("select id::text from imports").await.remove(0);
        let publication = house.column("select id::text from publications").await.remove(0);
        let kept = house.column("select id::text from quarantine").await.remove(0);
        house.db.batch_execute(
            "insert into users (name) values ('dora'), ('emil'), ('flora'); \
             insert into memberships (user_id, owner_id, role) select id, 101, 'viewer' from users where name in ('dora', 'emil', 'flora'); \
             insert into one_time_links (hash, purpose, owner_id, role, note, made_by_id, expires_at) \
               select '\\x00', 'invitation', 101, 'viewer', 'nord-newcomer', id, now() + interval '1 day' from users where name = 'root'",
        ).await.unwrap();
        let link = house.column("select id::text from one_time_links").await.remove(0);
        let rows = house.db.query("select name, id::text from users", &[]).await.unwrap();
        let people = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for name in ["root", "alice"] {
            house.another(name).await;
        }
        house.token("alice", "nord-deploy", true, None).await;
        let handle =
            house.column("select encode(id_hash, 'hex') from sessions order by created_at desc").await;
        let token = house.column("select id::text from tokens").await.remove(0);
        house.token("alice", "nord-spare", true, None).await;
        let spare = house.column("select id::text from tokens where name = 'nord-spare'").await.remove(0);
        let mut secrets = BTreeMap::new();
        for name in ["charlie", "bob", "alice", "root"] {
            secrets.insert(name, house.token(name, "whole", true, None).await);
        }
        secrets.insert("astray", house.token("root", "astray", true, Some(house.suedstern)).await);
        secrets.insert("reads", house.token("root", "reads", false, None).await);
        let handle = handle[0].clone();
        Self {
            server,
            gone,
            alert,
            publication,
            note,
            kept,
            filter,
            import,
            link,
            people,
            handle,
            token,
            spare,
            secrets,
            house,
        }
    }

    fn path(&self, entry: &Entry) -> String {
        let path = entry
            .asked
            .replace("{owner}", &self.house.nordwind.to_string())
            .replace("{server}", &self.server.to_string())
            .replace("{gone}", &self.gone.to_string())
            .replace("{alert}", &self.alert)
            .replace("{note}", &self.note)
            .replace("{filter}", &self.filter)
            .replace("{import}", &self.import)
            .replace("{publication}", &self.publication)
            .replace("{kept}", &self.kept)
            .replace("{handle}", &self.handle)
            .replace("{token}", &self.token)
            .replace("{spare}", &self.spare)
            .replace("{secret}", "0123456789abcdef")
            .replace("{link}", &self.link);
        self.people.iter().fold(path, |path, (name, id)| path.replace(&format!("{{{name}}}"), id))
    }

    /// A program of somebody's, with all their rights.
    pub fn program(&self, name: &str) -> Person {
        self.house.anyone().with_token(&self.secrets[name])
    }

    pub async fn ask(&self, entry: &Entry, person: &Person) -> Page {
        let path = self.path(entry);
        match entry.body {
            _ if entry.method == "GET" => person.get(&path).await,
            Body::Form(form) => person.post(&path, form).await,
            Body::Json(json) => person.call(entry.method, &path, json).await,
        }
    }

    /// The path of every page that there is to look at.
    pub fn pages(&self) -> Vec<String> {
        let entries = entries();
        let pages = entries.iter().filter(|entry| entry.method == "GET" && entry.root == It);
        pages.filter(|entry| door_of(entry) != Door::Client).map(|entry| self.path(entry)).collect()
    }

    /// Who asks for an entry, and what they should get: people by their sessions, programs by the tokens of
    /// the same people, and by some that may do less.
    fn askers(&self, entry: &Entry) -> Vec<(&'static str, Person, Gets)> {
        let house = &self.house;
        if door_of(entry) != Door::Client {
            return vec![
                ("anyone", house.anyone(), entry.anyone),
                ("charlie", house.charlie(), entry.charlie),
                ("bob", house.bob(), entry.bob),
                ("alice", house.alice(), entry.alice),
                ("root", house.root(), entry.root),
            ];
        }
        let program = |name| self.program(name);
        let reading = if entry.method == "GET" { entry.root } else { No };
        vec![
            ("anyone", house.anyone(), entry.anyone),
            ("a cookie without a token", house.root(), Problem),
            ("charlie", program("charlie"), entry.charlie),
            ("a token for another owner", program("astray"), entry.charlie),
            ("a token that only reads", program("reads"), reading),
            ("bob", program("bob"), entry.bob),
            ("alice", program("alice"), entry.alice),
            ("root", program("root"), entry.root),
        ]
    }
}

pub fn door_of(entry: &Entry) -> Door {
    let route = routes().into_iter().find(|route| route.path == entry.route);
    route.unwrap_or_else(|| panic!("there is no {} any more", entry.route)).door
}

fn got(page: &Page) -> Gets {
    match page.status {
        200 => It,
        201 | 204 => Done,
        303 if page.leads_to().starts_with("/login") && !page.headers.contains_key(header::SET_COOKIE) => {
            Login
        }
        303 => Done,
        401 if page.header("content-type") == "application/problem+json" => Problem,
        403 => No,
        404 => Nothing,
        422 => Messages,
        409 if page.header("content-type") == "application/problem+json" => Messages,
        other => panic!("{other}: {}", page.text),
    }
}

/// `POST /logout` leads to the login too.
fn same(entry: &Entry, page: &Page, expected: Gets) -> bool {
    let got = got(page);
    got == expected || (entry.route == "/logout" && got == Login && expected == Done)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_opens_to_whom_it_should() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for entry in entries() {
        let cast = scene.askers(&entry);
        if entry.route == "/logout" {
            assert!(same(&entry, &scene.ask(&entry, &cast[0].1).await, Done));
            continue;
        }
        for (name, person, expected) in cast {
            let page = scene.ask(&entry, &person).await;
            if !same(&entry, &page, expected) {
                wrong.push(format!(
                    "{name}: {} {} gives {:?} (to {:?}) instead of {expected:?}",
                    entry.method,
                    entry.asked,
                    got(&page),
                    page.header("location")
                ));
            }
            if !matches!(name, "bob" | "alice" | "root" | "a token that only reads") {
                let told: Vec<_> = SECRETS.iter().filter(|secret| page.text.contains(*secret)).collect();
                if !told.is_empty() {
                    wrong.push(format!("{name} reads {told:?} at {} {}", entry.method, entry.asked));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The parts of pages that htmx swaps are no back door.
#[tokio::test(flavor = "multi_thread")]
async fn fragments_tell_strangers_nothing_either() {
    let scene = Scene::new().await;
    let pages = entries().into_iter().filter(|entry| entry.method == "GET" && door_of(entry) != Door::Client);
    for entry in pages {
        let path = scene.path(&entry);
        for (person, expected) in
            [(scene.house.anyone(), entry.anyone), (scene.house.charlie(), entry.charlie)]
        {
            let part = person.fragment(&path).await;
            let fits = if expected == Login {
                part.status == 204 && part.header("hx-redirect") == "/login"
            } else {
                got(&part) == expected
            };
            assert!(fits, "{path}: {}", part.status);
            let told: Vec<_> = SECRETS.iter().filter(|secret| part.text.contains(*secret)).collect();
            assert!(told.is_empty(), "{path} tells {told:?}");
        }
    }
}

#[test]
fn every_route_has_an_entry() {
    let entries = entries();
    let mut missing = Vec::new();
    for route in routes() {
        for method in route.methods {
            if !entries.iter().any(|entry| entry.route == route.path && entry.method == *method) {
                missing.push(format!("{method} {}", route.path));
            }
        }
    }
    assert!(missing.is_empty(), "who may open these? {missing:#?}");
    for entry in entries {
        let route = routes()
            .into_iter()
            .find(|route| route.path == entry.route && route.methods.contains(&entry.method));
        let route = route.unwrap_or_else(|| panic!("there is no {} {} any more", entry.method, entry.route));
        // the table's own word on the door
        match route.door {
            Door::Open => {}
            Door::User => assert_eq!(entry.anyone, Login, "{}", entry.route),
            Door::Admin => assert_eq!(
                [entry.anyone, entry.charlie, entry.bob, entry.alice],
                [Login, Nothing, Nothing, Nothing],
                "{}",
                entry.route
            ),
            Door::Webhook | Door::Client => assert_eq!(entry.anyone, Problem, "{}", entry.route),
        }
    }
}

/// But for a reload after a form that was refused: that leads to the page of the form.
#[tokio::test(flavor = "multi_thread")]
async fn a_door_takes_no_other_methods() {
    let house = House::new().await;
    let pages: Vec<_> = routes().into_iter().filter(|route| route.methods.contains(&"GET")).collect();
    for route in routes() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            if route.methods.contains(&method.as_str()) {
                continue;
            }
            let path = route
                .path
                .replace("{id}", "1")
                .replace("{secret}", "x")
                .replace("{hash}", "x")
                .replace("{name}", "x")
                .replace("{user}", "1")
                .replace("{owner}", "1")
                .replace("{link}", "1")
                .replace("{note}", "1")
                .replace("{handle}", "x");
            let request =
                Request::builder().method(method.clone()).uri(&path).body(body::Body::empty()).unwrap();
            let answer = house.root().send(request).await;
            if method == Method::GET && matches!(route.door, Door::Open | Door::User | Door::Admin) {
                let form = answer.leads_to();
                let is = |route: &str| {
                    let (route, form) = (route.split('/'), form.split('/'));
                    route.clone().count() == form.clone().count()
                        && route
                            .zip(form)
                            .all(|(name, part)| name == part || name.starts_with('{') && part == "1")
                };
                assert!(pages.iter().any(|page| is(page.path)), "{path} leads to {form}");
                continue;
            }
            // a literal path may be a parameter's value to another route: /owners/new takes POST as /owners/{id} does
            assert!(matches!(answer.status, 405 | 404), "{method} {path}: {}", answer.status);
        }
    }
}
