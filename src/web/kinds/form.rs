//! The form of a rule kind. Its PromQL is tried on Prometheus before it is saved.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::prometheus::values::{Tried, Untried};
use crate::store::kinds::{self, KindInput, NewKind};
use crate::web::{Choice, Field, Flash, Frame, Look, amount, choices, counted, go};

#[derive(Template)]
#[template(path = "kinds/form.html")]
struct KindForm {
    frame: Frame,
    /// Of one that is there.
    stored: Option<String>,
    name: Field,
    title: Field,
    description: Field,
    unit: Field,
    directions: Vec<Choice>,
    promql: Field,
    min: Field,
    max: Field,
    summary: Field,
    severities: [SeverityFields; 2],
    owner_label: String,
    server_label: String,
}

/// What holds when nobody has set anything.
struct SeverityFields {
    severity: &'static str,
    value: Field,
    hold: Field,
    enabled: bool,
}

impl KindForm {
    fn new(app: &App, frame: Frame, stored: Option<&str>, typed: KindInput, fields: &Fields) -> Self {
        let [owner_label, server_label] = app.our_labels().map(str::to_owned);
        Self {
            frame,
            stored: stored.map(str::to_owned),
            name: Field::new(typed.name, fields, "name"),
            title: Field::new(typed.title, fields, "title"),
            description: Field::new(typed.description, fields, "description"),
            unit: Field::new(typed.unit, fields, "unit"),
            directions: choices(
                [("above", "More than the threshold"), ("below", "Less than the threshold")],
                &typed.direction,
            ),
            promql: Field::new(typed.promql, fields, "promql"),
            min: Field::new(typed.min, fields, "min"),
            max: Field::new(typed.max, fields, "max"),
            summary: Field::new(typed.summary, fields, "summary"),
            severities: [
                SeverityFields {
                    severity: "warning",
                    value: Field::new(typed.warning_value, fields, "warning_value"),
                    hold: Field::new(typed.warning_hold, fields, "warning_hold"),
                    enabled: typed.warning_enabled.is_some(),
                },
                SeverityFields {
                    severity: "critical",
                    value: Field::new(typed.critical_value, fields, "critical_value"),
                    hold: Field::new(typed.critical_hold, fields, "critical_hold"),
                    enabled: typed.critical_enabled.is_some(),
                },
            ],
            owner_label,
            server_label,
        }
    }
}

/// `GET /thresholds/kinds/new`
pub async fn new(State(app): State<App>, admin: Admin, session: Session, look: Look) -> Result<Response> {
    let frame = look.frame(&mut app.db(admin.all()).await?, &admin.0, &session).await?;
    let typed = KindInput {
        direction: "above".into(),
        min: "0".into(),
        max: "100".into(),
        summary: "It is {{ printf \"%.0f\" $value }} at {{ $labels.instance }}".into(),
        warning_hold: "5m".into(),
        critical_hold: "5m".into(),
        ..KindInput::default()
    };
    look.page(StatusCode::OK, &KindForm::new(&app, frame, None, typed, &Fields::default()))
}

/// `POST /thresholds/kinds`
pub async fn create(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Form(typed): Form<KindInput>,
) -> Result<Response> {
    let made = async {
        let new = typed.check(app.our_labels())?;
        let said = try_out(&app, &new).await?;
        kinds::create(&mut app.db(admin.all()).await?, admin.all(), new, &admin.actor()).await?;
        Ok(said)
    };
    match made.await {
        Ok(said) => {
            let text = format!("{} is added. {said} Publish it to bring it into force.", typed.title.trim());
            go(&session, "/thresholds/kinds", Flash::done(text)).await
        }
        Err(Error::Invalid(fields)) => refused(&app, &admin, &session, &look, None, (typed, &fields)).await,
        Err(error) => Err(error),
    }
}

/// `GET /thresholds/kinds/{name}`
pub async fn edit(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(name): Path<String>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let kind = kinds::find(&mut db, admin.all(), &name).await?;
    let frame = look.frame(&mut db, &admin.0, &session).await?;
    let form = KindForm::new(&app, frame, Some(&kind.title), KindInput::of(&kind), &Fields::default());
    look.page(StatusCode::OK, &form)
}

/// `POST /thresholds/kinds/{name}`
pub async fn update(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(name): Path<String>,
    Form(typed): Form<KindInput>,
) -> Result<Response> {
    let stored = kinds::find(&mut app.db(admin.all()).await?, admin.all(), &name).await?;
    // it never changes
    let typed = KindInput { name: name.clone(), ..typed };
    let saved = async {
        let new = typed.check(app.our_labels())?;
        // what was taken once need not be tried again for another title
        let said = if new.promql() == stored.promql { String::new() } else { try_out(&app, &new).await? };
        kinds::update(&mut app.db(admin.all()).await?, admin.all(), &name, new, &admin.actor()).await?;
        Ok(said)
    };
    match saved.await {
        Ok(said) => {
            let text = format!("{} is saved. {said}", typed.title.trim());
            go(&session, "/thresholds/kinds", Flash::done(text.trim())).await
        }
        Err(Error::Invalid(fields)) => {
            refused(&app, &admin, &session, &look, Some(&stored.title), (typed, &fields)).await
        }
        Err(error) => Err(error),
    }
}

async fn refused(
    app: &App,
    admin: &Admin,
    session: &Session,
    look: &Look,
    stored: Option<&str>,
    (typed, fields): (KindInput, &Fields),
) -> Result<Response> {
    let frame = look.frame(&mut app.db(admin.all()).await?, &admin.0, session).await?;
    look.page(StatusCode::UNPROCESSABLE_ENTITY, &KindForm::new(app, frame, stored, typed, fields))
}

/// What Prometheus says of it now, in words; no connection to the database waits for that.
async fn try_out(app: &App, new: &NewKind) -> Result<String> {
    match app.values().try_promql(new.promql()).await {
        Ok(Tried { series: 0, .. }) => Ok("Prometheus takes it, and has no value of it now.".into()),
        Ok(Tried { series, values }) => {
            let series = counted(i64::try_from(series).unwrap_or(i64::MAX), "value");
            let range =
                values.map(|(least, most)| format!(", from {} to {}", amount(least, ""), amount(most, "")));
            Ok(format!("Prometheus has {series} of it now{}.", range.unwrap_or_default()))
        }
        Err(Untried::Refused(why)) => Err(Error::Invalid(Fields::one("promql", why))),
        Err(Untried::Unknown(why)) => {
            let text =
                format!("It is tried on Prometheus before it is saved, which is not possible now: {why}.");
            Err(Error::Invalid(Fields::one("promql", text)))
        }
    }
}
