//! Every URL of the house in one list, and the layers around it.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, Request, StatusCode, Uri, header};
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{MethodRouter, delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::api;
use crate::app::App;
use crate::face;
use crate::store::sessions::Sessions;
use crate::web::{
    self, account, alerts, audit, dashboard, docs, join, kinds, links, login, looking, members, owners,
    publications, quarantine, second_factors, servers, sessions, sso, theme, thresholds, tokens, users,
};

/// A session that nobody uses ends after so many days.
const SESSION_DAYS: i64 = 14;
/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Who may open a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Anybody, signed in or not.
    Open,
    /// Anybody signed in; what they see is theirs.
    User,
    /// Admins; for others there is nothing.
    Admin,
    /// Whoever has the webhook's token.
    Webhook,
    /// Programs with somebody's token; what they see is theirs.
    Client,
}

/// One URL.
pub struct Route {
    pub path: &'static str,
    /// The methods it takes.
    pub methods: &'static [&'static str],
    pub door: Door,
    /// Unsafe methods ask for the password again when it was last given a while ago: for what, as people read it.
    pub sudo: Option<&'static str>,
    /// The page with its form, where that is not the nearest page above it.
    form: Option<&'static str>,
    handler: MethodRouter<App>,
}

impl Route {
    /// With [`Route::sudo`].
    #[must_use]
    fn sudo(self, act: &'static str) -> Self {
        Self { sudo: Some(act), ..self }
    }

    /// With [`Route::form`].
    #[must_use]
    fn form(self, page: &'static str) -> Self {
        Self { form: Some(page), ..self }
    }

    /// Where a GET of a route leads that only takes a form: to the page that holds it. `None`: it is a page itself, or
    /// not for people.
    fn page(&self, pages: &[&'static str]) -> Option<&'static str> {
        if self.methods.contains(&"GET") || face::is_for_programs(self.path) {
            return None;
        }
        let above = |page: &str| {
            page == "/" || self.path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/'))
        };
        let nearest = pages.iter().copied().filter(|page| above(page)).max_by_key(|page| page.len());
        self.form.or(nearest)
    }
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const BOTH: &[&str] = &["GET", "POST"];
const LIST: &[&str] = &["GET", "POST", "PUT"];
const MEMBER: &[&str] = &["PUT", "DELETE"];
const DELETE: &[&str] = &["DELETE"];
const ONE: &[&str] = &["GET", "PATCH", "DELETE"];

/// Every URL. A test walks it as every kind of person.
#[rustfmt::skip]
pub fn routes() -> Vec<Route> {
    use Door::{Admin, Client, Open, User, Webhook};
    let route = |path, methods, door, handler| Route { path, methods, door, sudo: None, form: None, handler };
    vec![
        route("/",                           GET,  User,    get(dashboard::show)),
        route("/login",                      BOTH, Open,    get(login::form).post(login::log_in)),
        route("/login/second-factor",        BOTH, Open,    get(second_factors::login::form).post(second_factors::login::answer)),
        route("/login/sso",                  GET,  Open,    get(sso::start)),
        route("/login/sso/callback",         GET,  Open,    get(sso::callback)),
        route("/logout",                     POST, Open,    post(login::log_out)),
        route("/setup/{secret}",             BOTH, Open,    get(login::setup_form).post(login::set_up)),
        route("/password/{secret}",          BOTH, Open,    get(links::password_form).post(links::choose_password)),
        route("/join/{secret}",              BOTH, Open,    get(join::show).post(join::accept)),
        route("/theme",                      POST, Open,    post(theme::choose)),
        route("/view",                       BOTH, User,    get(looking::show).post(looking::choose)),
        route("/account",                    BOTH, User,    get(account::show).post(account::update)),
        route("/account/password",           BOTH, User,    get(account::password).post(account::change_password)),
        route("/account/sessions/others/end",   POST, User, post(sessions::end_others)),
        route("/account/sessions/{handle}/end", POST, User, post(sessions::end)),
        route("/account/tokens",             BOTH, User,    get(tokens::list).post(tokens::create)).sudo("make a token"),
        route("/account/tokens/new",         GET,  User,    get(tokens::new)),
        route("/account/tokens/{id}/revocation", POST, User, post(tokens::revoke)).sudo("revoke a token"),
        route("/account/identity",           BOTH, User,    get(sso::identity).post(sso::add)).sudo("link your account"),
        route("/account/identity/removal",   POST, User,    post(sso::remove)).sudo("unlink your account"),
        route("/owners",                     BOTH, User,    get(owners::list).post(owners::create)),
        route("/owners/new",                 GET,  Admin,   get(owners::new)),
        route("/owners/{id}",                BOTH, User,    get(owners::show).post(owners::update)),
        route("/owners/{id}/edit",           GET,  Admin,   get(owners::edit)),
        route("/owners/{id}/removal",        POST, Admin,   post(owners::remove)),
        route("/owners/{id}/restoration",    POST, Admin,   post(owners::restore)),
        route("/owners/{id}/members",        GET,  User,    get(members::list)),
        route("/owners/{id}/members/{user}", POST, User,    post(members::change)).sudo("change a member's role"),
        route("/owners/{id}/members/{user}/removal", POST, User, post(members::remove)).sudo("remove a member"),
        route("/owners/{id}/invitations",    POST, User,    post(members::invite)).sudo("invite somebody").form("/owners/{id}/members"),
        route("/owners/{id}/invitations/{link}/revocation", POST, User, post(members::revoke)).sudo("revoke an invitation").form("/owners/{id}/members"),
        route("/users",                      BOTH, Admin,   get(users::list).post(users::create)).sudo("add a user"),
        route("/users/new",                  GET,  Admin,   get(users::new)),
        route("/users/{id}",                 BOTH, Admin,   get(users::show).post(users::rename)).sudo("rename a user"),
        route("/users/{id}/admin",           POST, Admin,   post(users::set_admin)).sudo("change who is an admin"),
        route("/users/{id}/enabled",         POST, Admin,   post(users::set_enabled)).sudo("disable or enable a user"),
        route("/users/{id}/password",        POST, Admin,   post(users::make_link)).sudo("make a link to choose a password by"),
        route("/users/{id}/logout",          POST, Admin,   post(users::end_sessions)).sudo("end a user's sessions"),
        route("/users/{id}/second-factor/removal", POST, Admin, post(users::reset_second_factor)).sudo("reset a second factor"),
        route("/users/{id}/removal",         POST, Admin,   post(users::remove)).sudo("remove a user"),
        route("/users/{id}/memberships",     POST, Admin,   post(users::join)).sudo("add a member"),
        route("/users/{id}/memberships/{owner}", POST, Admin, post(users::set_role)).sudo("change a member's role"),
        route("/users/{id}/memberships/{owner}/removal", POST, Admin, post(users::leave)).sudo("remove a member"),
        route("/servers",                    BOTH, User,    get(servers::list).post(servers::create)),
        route("/servers.csv",                GET,  User,    get(servers::csv)),
        route("/servers.json",               GET,  User,    get(servers::json)),
        route("/servers/import",             BOTH, User,    get(servers::import_form).post(servers::hand_in).layer(DefaultBodyLimit::max(face::FILE_LIMIT))),
        route("/servers/import/{id}",        BOTH, User,    get(servers::import_page).post(servers::import)),
        route("/servers/new",                GET,  User,    get(servers::new)),
        route("/servers/{id}",               BOTH, User,    get(servers::show).post(servers::update)),
        route("/servers/{id}/edit",          GET,  User,    get(servers::edit)),
        route("/servers/{id}/thresholds",    GET,  User,    get(servers::thresholds)),
        route("/servers/{id}/enabled",       POST, User,    post(servers::enable)),
        route("/servers/{id}/removal",       POST, User,    post(servers::remove)),
        route("/servers/{id}/restoration",   POST, User,    post(servers::restore)),
        route("/thresholds",                 BOTH, User,    get(thresholds::show).post(thresholds::set)),
        route("/thresholds/matrix",          GET,  User,    get(thresholds::matrix)),
        route("/thresholds/kinds",           BOTH, Admin,   get(kinds::list).post(kinds::create)),
        route("/thresholds/kinds/new",       GET,  Admin,   get(kinds::new)),
        route("/thresholds/kinds/{name}",    BOTH, Admin,   get(kinds::edit).post(kinds::update)),
        route("/thresholds/kinds/{name}/removal", POST, Admin, post(kinds::remove)).form("/thresholds/kinds"),
        route("/thresholds/kinds/{name}/restoration", POST, Admin, post(kinds::restore)).form("/thresholds/kinds"),
        route("/thresholds/trial",           POST, User,    post(thresholds::trial)),
        route("/thresholds/reset",           POST, User,    post(thresholds::reset)),
        route("/alerts",                     GET,  User,    get(alerts::list)),
        route("/alerts/figures",             GET,  User,    get(alerts::figures)),
        route("/alerts.csv",                 GET,  User,    get(alerts::csv)),
        route("/alerts.json",                GET,  User,    get(alerts::json)),
        route("/alerts/live",                GET,  User,    get(alerts::live)),
        route("/alerts/filters",             BOTH, User,    get(alerts::saved).post(alerts::save)),
        route("/alerts/filters/{id}",        POST, User,    post(alerts::rename_saved)),
        route("/alerts/filters/{id}/removal", POST, User,   post(alerts::remove_saved)),
        route("/alerts/quarantine",          GET,  Admin,   get(quarantine::list)),
        route("/alerts/quarantine/replay",   POST, Admin,   post(quarantine::replay_all)),
        route("/alerts/quarantine/removal",  POST, Admin,   post(quarantine::remove_all)),
        route("/alerts/quarantine/{id}",     GET,  Admin,   get(quarantine::show)),
        route("/alerts/quarantine/{id}/replay", POST, Admin, post(quarantine::replay)),
        route("/alerts/quarantine/{id}/removal", POST, Admin, post(quarantine::remove)),
        route("/alerts/{id}",                GET,  User,    get(alerts::show)),
        route("/alerts/{id}/value",          GET,  User,    get(alerts::value)),
        route("/alerts/{id}/acknowledgement", POST, User,   post(alerts::acknowledge)),
        route("/alerts/{id}/acknowledgement/removal", POST, User, post(alerts::unacknowledge)),
        route("/alerts/{id}/notes",          POST, User,    post(alerts::write)),
        route("/alerts/{id}/notes/{note}/removal", POST, User, post(alerts::erase)),
        route("/publications",               BOTH, Admin,   get(publications::list).post(publications::create)),
        route("/publications/automatic",     POST, Admin,   post(publications::set_automatic)),
        route("/publications/compare",       GET,  Admin,   get(publications::compare)),
        route("/publications/{id}/restoration", POST, Admin, post(publications::restore)),
        route("/publications/discard",       POST, Admin,   post(publications::discard)),
        route("/publications/{id}",          GET,  Admin,   get(publications::show)),
        route("/audit",                      GET,  User,    get(audit::list)),
        route("/audit.csv",                  GET,  User,    get(audit::csv)),
        route("/audit.json",                 GET,  User,    get(audit::json)),
        route("/account/second-factor",      BOTH, User,    get(second_factors::show).post(second_factors::begin)).sudo("set up a second factor"),
        route("/account/second-factor/confirmation",   POST, User, post(second_factors::confirm)).sudo("turn on the second factor"),
        route("/account/second-factor/recovery-codes", POST, User, post(second_factors::renew_codes)).sudo("make new recovery codes"),
        route("/account/second-factor/removal",        POST, User, post(second_factors::remove)).sudo("turn off the second factor"),
        route("/static/{hash}/{name}",       GET,  Open,    get(web::assets::serve)),
        route("/docs",                       GET,  Open,    get(docs::show)),
        route("/docs/{name}",                GET,  Open,    get(docs::file)),
        route("/api/openapi.json",           GET,  Open,    get(api::document::show)),
        route("/api/v1/me",                  GET,  Client,  get(api::me::show)),
        route("/api/v1/owners",              LIST, Client,  get(api::owners::list).post(api::owners::create).put(api::owners::put)),
        route("/api/v1/owners/{id}",         ONE,  Client,  get(api::owners::show).patch(api::owners::change).delete(api::owners::remove)),
        route("/api/v1/servers",             LIST, Client,  get(api::servers::list).post(api::servers::create).put(api::servers::put)),
        route("/api/v1/servers/{id}",        ONE,  Client,  get(api::servers::show).patch(api::servers::change).delete(api::servers::remove)),
        route("/api/v1/owners/{id}/members", GET,  Client,  get(api::members::list)),
        route("/api/v1/owners/{id}/members/{user_id}", MEMBER, Client, put(api::members::put).delete(api::members::remove)),
        route("/api/v1/owners/{id}/invitations", POST, Client, post(api::members::invite)),
        route("/api/v1/users",               BOTH, Client,  get(api::users::list).post(api::users::create)),
        route("/api/v1/users/{id}",          ONE,  Client,  get(api::users::show).patch(api::users::change).delete(api::users::remove)),
        route("/api/v1/tokens",              BOTH, Client,  get(api::tokens::list).post(api::tokens::create)),
        route("/api/v1/tokens/{id}",         DELETE, Client, delete(api::tokens::revoke)),
        route("/api/v1/audit",               GET,  Client,  get(api::audit::list)),
        route("/api/v1/alerts",              GET,  Client,  get(api::alerts::list)),
        route("/api/v1/alerts/{id}",         GET,  Client,  get(api::alerts::show)),
        route("/webhook/alertmanager",       POST, Webhook, webhook()),
        route("/webhook/alertmanager/",      POST, Webhook, webhook()),
        route("/metrics",                    GET,  Client,  get(api::metrics::show)),
        route("/healthz",                    GET,  Open,    get(api::health::alive)),
        route("/readyz",                     GET,  Open,    get(api::health::ready)),
    ]
}

fn webhook() -> MethodRouter<App> {
    post(api::webhook::alertmanager).layer(DefaultBodyLimit::disable())
}

/// A route's path with the parts of one that lies below it or beside it.
fn filled(route: &str, path: &str) -> String {
    let parts = route.split('/').zip(path.split('/'));
    let parts = parts.map(|(name, part)| if name.starts_with('{') { part } else { name });
    parts.collect::<Vec<_>>().join("/")
}

/// The whole house.
pub fn router(app: App) -> Router {
    let secure = app.config().public_url.scheme() == "https";
    let sessions = SessionManagerLayer::new(Sessions(app.store().clone()))
        .with_name("prommgr")
        .with_secure(secure)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(SESSION_DAYS)));
    // `Origin` names the public address, which behind a proxy need not be the host that we see
    let origin = app.config().public_url.origin().ascii_serialization();
    let csrf = CsrfLayer::new();
    let csrf = csrf.clone().add_trusted_origin(origin).unwrap_or(csrf);
    let (mut people, mut programs) = (Router::new(), Router::new());
    let all = routes();
    let pages: Vec<_> =
        all.iter().filter(|route| route.methods.contains(&"GET")).map(|route| route.path).collect();
    for route in all {
        let page = route.page(&pages);
        if face::is_for_programs(route.path) {
            let mut handler = route.handler;
            if route.door == Door::Client {
                let once = middleware::from_fn_with_state(app.clone(), api::once::once);
                handler = handler
                    .layer(once)
                    .layer(middleware::from_fn(api::limits::tell))
                    .layer(middleware::from_fn(face::whole));
            }
            programs = programs.route(route.path, handler);
            continue;
        }
        let mut handler = route.handler;
        if let Some(act) = route.sudo {
            let sudo = web::sudo::Sudo { app: app.clone(), act };
            handler = handler.route_layer(middleware::from_fn_with_state(sudo, web::sudo::ask));
        }
        if let Some(page) = page {
            handler = handler.get(async move |uri: Uri| Redirect::to(&filled(page, uri.path())));
        }
        people = people.route(route.path, handler);
    }
    people
        .fallback(async || crate::error::Error::NotFound)
        .layer(middleware::from_fn(face::whole))
        .layer(middleware::from_fn_with_state(app.clone(), face::frame))
        .layer(sessions)
        .layer(csrf)
        .merge(programs)
        .layer(DefaultBodyLimit::max(face::FORM_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIME_LIMIT))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            use axum::response::IntoResponse;
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            crate::error::Error::internal(format!("a panic: {}", text.unwrap_or_default())).into_response()
        }))
        .layer(middleware::from_fn(api::metrics::count))
        .layer(middleware::from_fn_with_state(app.clone(), face::dress))
        .layer(middleware::from_fn_with_state(app.clone(), web::shield::raise))
        .layer(CompressionLayer::new())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<axum::body::Body>| {
            let id = request.headers().get(HeaderName::from_static("x-request-id")).and_then(|id| id.to_str().ok());
            tracing::debug_span!("request", method = %request.method(), path = web::redacted(request.uri().path()), id)
        // errors are logged at their face, once
        }).on_failure(()))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        .with_state(app)
}
