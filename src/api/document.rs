//! `GET /api/openapi.json`: what there is under `/api/`, made of the handlers and their types. What is the same
//! everywhere (problems, limits, an example for curl) is added here.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response as Answer, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{HttpMethod, OpenApi as Document, PathItem, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::{alerts, audit, me, members, once, owners, servers, tokens, users};
use crate::face::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "prommgr",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        description = "Programs present an API token (`Authorization: Bearer prommgr_…`), which is made at \
            `/account/tokens` or by `prommgr token create` and has at most its person's rights: it sees and changes what they do, or \
            less. What is not theirs is *not found*.\n\n\
            Lists are `{\"items\": [...], \"next_cursor\": \"...\"}`; the last page has no `next_cursor`. A single thing comes with an \
            `ETag`, and `If-Match` with it changes or removes only what nobody has changed meanwhile. Fields that are left out of a \
            `PATCH` stay as they are, and `null` is what a new thing has. Unknown fields and parameters are refused.\n\n\
            Errors are `application/problem+json` (RFC 9457) with `errors` by field.",
    ),
    servers((url = "/")),
    paths(
        me::show,
        owners::list, owners::create, owners::put, owners::show, owners::change, owners::remove,
        servers::list, servers::change::create, servers::change::put, servers::show, servers::change::change, servers::change::remove,
        alerts::list, alerts::show,
        members::list, members::put, members::remove, members::invite,
        users::list, users::create, users::show, users::change, users::remove,
        tokens::list, tokens::create, tokens::revoke,
        audit::list,
    ),
    components(schemas(Problem)),
    modifiers(&Common),
    tags(
        (name = "servers", description = "What Prometheus scrapes. Changes are in force with the next publication."),
        (name = "owners", description = "Customers. Only an admin's token adds, changes and removes them."),
        (name = "alerts", description = "The history: one alert an episode, from firing to resolved."),
        (name = "users", description = "People who log in. For admins."),
        (name = "tokens", description = "What programs present."),
        (name = "audit", description = "Who did what, and when."),
        (name = "me", description = "The token itself."),
    ),
)]
struct Api;

/// The document, as it is served.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| serde_json::to_string_pretty(&Api::openapi()).unwrap_or_default() + "\n");
    &TEXT
}

/// Each operation of the document: its method, as `GET`, and its path.
pub fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(text()).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    let each = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    });
    each.collect()
}

/// `GET /api/openapi.json`
pub async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The name of the security scheme.
const TOKEN: &str = "token";

struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("prommgr_…").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0])]);
        let schemas = components.schemas.clone();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations_of(item) {
                problems(&method, operation);
                if method == HttpMethod::Post && !once::SECRET.contains(&path.as_str()) {
                    let key = ParameterBuilder::new()
                        .name("Idempotency-Key")
                        .parameter_in(ParameterIn::Header)
                        .description(Some(
                            "Such as a UUID. The same request with the same key is done once, and answered the same for a day, with \
                             `Idempotent-Replayed: true`.",
                        ))
                        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                        .build();
                    operation.parameters.get_or_insert_default().push(key.into());
                }
                let body = example(operation, &schemas);
                let curl = curl(&method, path, operation, body);
                let description = operation.description.get_or_insert_default();
                *description = format!("{description}\n\n```sh\n{curl}\n```").trim().to_owned();
            }
        }
    }
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (HttpMethod::Get, get),
        (HttpMethod::Post, post),
        (HttpMethod::Put, put),
        (HttpMethod::Patch, patch),
        (HttpMethod::Delete, delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What any operation of that kind may be refused with.
fn problems(method: &HttpMethod, operation: &mut Operation) {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let mut has = (false, false, false);
    for parameter in parameters {
        match parameter.parameter_in {
            ParameterIn::Path => has.0 = true,
            ParameterIn::Query => has.1 = true,
            ParameterIn::Header => has.2 |= parameter.name == "If-Match",
            ParameterIn::Cookie | ParameterIn::QueryString => {}
        }
    }
    let (path, query, if_match) = has;
    let body = operation.request_body.is_some();
    let writes = *method != HttpMethod::Get;
    let staff = operation.tags.iter().flatten().any(|tag| tag == "users");
    for (status, why, there) in [
        ("400", "The request makes no sense, as a body that is no JSON.", true),
        ("401", "No token, or one that is wrong, has expired or is revoked.", true),
        ("403", "The token may look at this, but not change it.", writes),
        ("404", "There is nothing here, or it is not the token's to see.", path || writes || staff),
        (
            "409",
            "What is there stands against it: another one has the address or the number already, or others change it at the same time.",
            writes,
        ),
        ("412", "It was changed since it was read.", if_match),
        ("413", "The body is larger than 1 MB.", body),
        ("415", "The body is not said to be JSON.", body),
        ("422", "Some fields or parameters need another look; `errors` says which, and why.", body || query),
        (
            "429",
            "More than the token may ask; `Retry-After` says when it may again, and `RateLimit-Remaining` with every answer how much is left.",
            true,
        ),
        ("500", "Our fault; `reference` finds it in the log.", true),
        ("503", "The database does not answer just now. `Retry-After` says when to try again.", true),
    ] {
        if there {
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(why).into());
        }
    }
}

fn problem(why: &str) -> Answer {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(why).content("application/problem+json", content).build()
}

/// The example of the body, where it has one.
fn example(
    operation: &Operation,
    schemas: &std::collections::BTreeMap<String, RefOr<utoipa::openapi::Schema>>,
) -> Option<Value> {
    let body = serde_json::to_value(operation.request_body.as_ref()?).ok()?;
    let name = body["content"]["application/json"]["schema"]["$ref"].as_str()?.rsplit('/').next()?;
    let schema = serde_json::to_value(schemas.get(name)?).ok()?;
    schema.get("example").or_else(|| schema.get("examples")?.get(0)).cloned()
}

fn curl(method: &HttpMethod, path: &str, operation: &Operation, body: Option<Value>) -> String {
    let method = match method {
        HttpMethod::Get => "",
        HttpMethod::Post => " -X POST",
        HttpMethod::Put => " -X PUT",
        HttpMethod::Patch => " -X PATCH",
        _ => " -X DELETE",
    };
    let exemplary = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
            let example = serde_json::to_value(parameter).ok()?["example"].as_str()?.to_owned();
            Some(format!("{}={example}", parameter.name))
        }
        _ => None,
    });
    let query: Vec<_> = exemplary.collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let path = path.replace("{id}", "4386").replace("{user_id}", "17");
    let body = body.map(|body| format!(" \\\n     -H 'Content-Type: application/json' -d '{body}'"));
    let body = body.unwrap_or_default();
    format!("curl{method} -H \"Authorization: Bearer $TOKEN\"{body} \\\n     \"$PROMMGR{path}{query}\"")
}
