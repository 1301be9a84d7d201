//! What applies at a place after the layers, and who set it.

use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{Layer, Place, Threshold};
use crate::catalogue::{Catalogue, RuleKind, Setting, Severity};
use crate::error::Result;
use crate::store::audit::STAFF;
use crate::store::schema::{thresholds, users};
use crate::store::scope::All;
use crate::store::{Db, kinds};

/// What applies at a place after the layers.
#[derive(Clone, Debug)]
pub struct Effective {
    pub kind: Arc<RuleKind>,
    pub severity: Severity,
    pub setting: Setting,
    pub layer: Layer,
    /// What would apply without what was set at this very place.
    pub inherited: Setting,
    /// `None`: it is built in.
    pub set: Option<SetBy>,
}

/// Who set a threshold, and when.
#[derive(Clone, Debug)]
pub struct SetBy {
    pub who: String,
    pub at: Timestamp,
}

/// A threshold, and whose it is.
#[derive(Queryable)]
struct Row {
    threshold: Threshold,
    set_by: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    updated_at: Timestamp,
    name: Option<String>,
}

impl Row {
    /// Who it was, as somebody may read it: customers never read which of the staff.
    fn set(&self, staff: Option<All>) -> SetBy {
        let who = match &self.name {
            _ if !self.set_by.is_empty() => self.set_by.clone(),
            Some(name) if staff.is_some() => name.clone(),
            _ => STAFF.to_owned(),
        };
        SetBy { who, at: self.updated_at }
    }
}

/// Every rule kind and severity as it applies at a place, in the catalogue's order; with the names of the staff for the
/// staff.
pub async fn effective(db: &mut Db, place: Place<'_>, staff: Option<All>) -> Result<Vec<Effective>> {
    let catalogue = kinds::catalogue(db).await?;
    let (owner, server) = place.ids();
    let rows: Vec<Row> = thresholds::table
        .left_join(users::table)
        .filter(
            thresholds::owner_id
                .is_null()
                .or(thresholds::owner_id.is_not_distinct_from(owner).and(thresholds::server_id.is_null()))
                .or(thresholds::server_id
                    .is_not_null()
                    .and(thresholds::server_id.is_not_distinct_from(server))),
        )
        .select((Threshold::as_select(), thresholds::set_by, thresholds::updated_at, users::name.nullable()))
        .load(db.conn())
        .await?;
    Ok(layered(&catalogue, &rows, place.layer(), staff))
}

fn layered(catalogue: &Catalogue, rows: &[Row], asked: Layer, staff: Option<All>) -> Vec<Effective> {
    let mut all = Vec::new();
    for kind in catalogue.iter() {
        for severity in Severity::ALL {
            let built_in = kind.default_setting(severity);
            let (mut setting, mut layer, mut inherited) = (built_in, Layer::BuiltIn, built_in);
            let mut set = None;
            for step in [Layer::Default, Layer::Owner, Layer::Server] {
                let row = rows.iter().find(|row| {
                    let row = &row.threshold;
                    row.rule == kind.name && row.severity == severity.as_str() && row.layer() == step
                });
                if let Some(row) = row {
                    (setting, layer) = (row.threshold.setting(), step);
                    set = Some(row.set(staff));
                    if step < asked {
                        inherited = setting;
                    }
                }
            }
            all.push(Effective { kind: kind.clone(), severity, setting, layer, inherited, set });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(owner_id: Option<i64>, server_id: Option<i64>, value: f64, enabled: bool) -> Row {
        let threshold = Threshold {
            rule: "cpu_threshold_exceeded".into(),
            severity: "warning".into(),
            owner_id,
            server_id,
            value: Some(value),
            hold_seconds: 60,
            enabled,
        };
        Row { threshold, set_by: String::new(), updated_at: Timestamp::UNIX_EPOCH, name: None }
    }

    #[test]
    fn the_narrowest_layer_replaces_as_a_whole() {
        let rows =
            [row(None, None, 70.0, true), row(Some(1), None, 80.0, false), row(Some(1), Some(2), 90.0, true)];
        let cpu = |rows: &[Row], asked| {
            let all = layered(&Catalogue::built_in(), rows, asked, None);
            all.into_iter()
                .find(|one| one.kind.name == "cpu_threshold_exceeded" && one.severity == Severity::Warning)
                .unwrap()
        };
        let server = cpu(&rows, Layer::Server);
        assert_eq!(
            (server.layer, server.setting.value, server.inherited.enabled),
            (Layer::Server, Some(90.0), false)
        );
        let owner = cpu(&rows[..2], Layer::Owner);
        assert_eq!(
            (owner.layer, owner.setting.enabled, owner.inherited.value),
            (Layer::Owner, false, Some(70.0))
        );
        let built_in = cpu(&[], Layer::Server);
        assert_eq!((built_in.layer, built_in.setting.value), (Layer::BuiltIn, Some(85.0)));
        assert!(built_in.set.is_none());
    }

    #[test]
    fn only_the_staff_reads_which_of_the_staff_it_was() {
        let by = |set_by: &str, name: Option<&str>, staff| {
            let row =
                Row { set_by: set_by.into(), name: name.map(str::to_owned), ..row(None, None, 1.0, true) };
            row.set(staff).who
        };
        let staff = Some(All::operator());
        assert_eq!(by("", Some("root"), staff), "root");
        assert_eq!(by("", Some("root"), None), "Staff");
        assert_eq!(by("", None, staff), "Staff");
        assert_eq!(by("alice", Some("alice-2"), None), "alice");
    }
}
