//! The page of one layer, with a row for each rule kind and severity.

use askama::Template;

use super::trial::TrialPart;
use super::{Chosen, source};
use crate::auth::User;
use crate::error::{Fields, Result};
use crate::store::Db;
use crate::store::owners::Owner;
use crate::store::servers::{self, Server};
use crate::store::thresholds::{self, Effective, ThresholdInput, format_duration, in_words};
use crate::web::dashboard::waits_for_staff;
use crate::web::owners::options;
use crate::web::{Choice, Field, Frame, named_choices};

#[derive(Template)]
#[template(path = "thresholds/show.html")]
pub(super) struct ThresholdsPage {
    frame: Frame,
    /// `default`, `owner` or `server`.
    layer: &'static str,
    title: String,
    may_edit: bool,
    /// There is more than one owner to compare.
    several: bool,
    owners: Vec<Choice>,
    /// Of the chosen owner; empty where none is chosen.
    servers: Vec<Choice>,
    /// Of this layer, sent back with each form; empty where the layer has none.
    owner_id: String,
    server_id: String,
    kinds: Vec<KindRow>,
    /// That changes wait for the staff; empty: none does, or admins read it.
    waits: String,
}

struct KindRow {
    rule: String,
    title: String,
    description: String,
    unit: String,
    direction: &'static str,
    has_value: bool,
    rows: Vec<ThresholdRow>,
}

struct ThresholdRow {
    severity: &'static str,
    value: Field,
    hold: Field,
    enabled: bool,
    source: String,
    /// Set in this very layer: can be taken back.
    own: bool,
    /// What would apply then, in words.
    inherited: String,
    /// It was typed just now, and is not saved.
    saved: bool,
    /// What it would have done, where that was asked.
    trial: Option<TrialPart>,
}

impl ThresholdsPage {
    /// Puts what came of a trial below the row that it is of.
    pub fn tell(&mut self, part: TrialPart) {
        let rows = self.kinds.iter_mut().flat_map(|kind| {
            let rule = kind.rule.as_str();
            kind.rows.iter_mut().map(move |row| (rule, row))
        });
        if let Some((_, row)) = rows.into_iter().find(|(rule, row)| part.is_of(rule, row.severity)) {
            row.trial = Some(part);
        }
    }
}

/// What was typed in one row, and what is wrong with it.
pub(super) type Refused<'a> = Option<(&'a ThresholdInput, &'a Fields)>;

pub(super) async fn page(
    db: &mut Db,
    user: &User,
    frame: Frame,
    chosen: &Chosen,
    refused: Refused<'_>,
) -> Result<ThresholdsPage> {
    let effective = thresholds::effective(db, chosen.place(), user.all()).await?;
    let (owner, server) = (chosen.owner.as_ref(), chosen.server.as_ref());
    let owner_id = owner.map(|owner| owner.id.to_string()).unwrap_or_default();
    let server_id = server.map(|server| server.id.to_string()).unwrap_or_default();
    let owners = options(db, &user.scope(), &owner_id).await?;
    let (_, layer, title) = chosen.names();
    Ok(ThresholdsPage {
        waits: waits_for_staff(db, user).await?,
        frame,
        layer,
        title: title.to_owned(),
        several: user.sees_several(),
        may_edit: owner.map_or(user.is_admin(), |owner| user.manages(owner.id)),
        owners: named_choices(user.sees_several().then_some("Every owner (defaults)"), owners, &owner_id),
        servers: server_choices(db, owner, server).await?,
        owner_id,
        server_id,
        kinds: kinds(&effective, chosen, refused),
    })
}

async fn server_choices(db: &mut Db, owner: Option<&Owner>, chosen: Option<&Server>) -> Result<Vec<Choice>> {
    let Some(owner) = owner else {
        return Ok(Vec::new());
    };
    let mut list = servers::choices(db, owner).await?;
    if let Some(server) = chosen
        && !list.iter().any(|(id, _)| *id == server.id)
    {
        list.push((server.id, server.name.clone()));
    }
    if list.is_empty() {
        return Ok(Vec::new());
    }
    Ok(named_choices(
        Some("Every server"),
        list,
        &chosen.map(|server| server.id.to_string()).unwrap_or_default(),
    ))
}

fn kinds(effective: &[Effective], chosen: &Chosen, refused: Refused<'_>) -> Vec<KindRow> {
    let of_one_kind = effective.chunk_by(|one, next| one.kind.name == next.kind.name);
    let rows = of_one_kind.filter_map(|severities| {
        let kind = &severities.first()?.kind;
        Some(KindRow {
            rule: kind.name.clone(),
            title: kind.title.clone(),
            description: kind.description.clone(),
            unit: kind.unit.clone(),
            direction: kind.direction.word(),
            has_value: kind.bounds.is_some(),
            rows: severities.iter().map(|one| row(one, chosen, refused)).collect(),
        })
    });
    rows.collect()
}

fn row(one: &Effective, chosen: &Chosen, refused: Refused<'_>) -> ThresholdRow {
    let owner = chosen.owner.as_ref().map_or("", |owner| &owner.name);
    let own = one.layer == chosen.names().0;
    let stored = ThresholdRow {
        severity: one.severity.as_str(),
        value: Field {
            value: one.setting.value.map(|value| value.to_string()).unwrap_or_default(),
            error: None,
        },
        hold: Field { value: format_duration(one.setting.hold), error: None },
        enabled: one.setting.enabled,
        source: source(one.layer, owner),
        own,
        inherited: if own { in_words(&one.kind, one.inherited) } else { String::new() },
        saved: false,
        trial: None,
    };
    match refused {
        Some((typed, fields)) if typed.rule == one.kind.name && typed.severity == one.severity.as_str() => {
            ThresholdRow {
                value: Field::new(&typed.value, fields, "value"),
                hold: Field::new(&typed.hold, fields, "hold"),
                enabled: typed.enabled.is_some(),
                saved: true,
                ..stored
            }
        }
        _ => stored,
    }
}
