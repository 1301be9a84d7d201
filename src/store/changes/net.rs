//! What waits to be published, as the difference of rows to what they were when they were published, in words: what was
//! changed and changed back is nothing.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde_json::Value;

use crate::catalogue::Setting;
use crate::error::Result;
use crate::store::scope::All;
use crate::store::statement::Prepare;
use crate::store::thresholds::{in_words, limit_in_words};
use crate::store::{Db, kinds};

/// Servers of an owner that are told one by one.
const TOLD: usize = 3;

/// Something that waits to be published.
#[derive(Clone, Debug)]
pub struct NetChange {
    /// `2 servers added for Acme: web-1, web-2`.
    pub text: String,
    /// Whoever changed it, each once; empty: nobody who was noted.
    pub who: Vec<String>,
    /// When it was changed last; `None`: by nobody who was noted.
    pub at: Option<Timestamp>,
    /// Whose it is; `None`: everybody's.
    pub owner_id: Option<i64>,
    /// `owner`, `server`, `threshold`, or `note` for what is told in the words of then.
    pub kind: &'static str,
}

/// What waits, at most `limit` of each kind.
pub async fn net(db: &mut Db, _: All, limit: i64) -> Result<Vec<NetChange>> {
    all(db.conn(), limit).await
}

/// As [`net`], in a transaction.
pub(in crate::store) async fn all(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NetChange>> {
    let mut found = owners(conn, limit).await?;
    found.extend(servers(conn, limit).await?);
    found.extend(thresholds(conn, limit).await?);
    found.extend(notes(conn, limit).await?);
    found.sort_by_key(|change| change.at);
    Ok(found)
}

/// Who changed something last, in the transaction of the change.
const WHO: &str = "who as (select distinct on (tx) tx, user_name, at from pending_changes where publication_id is null order by tx, id desc)";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Bigint>)]
    owner_id: Option<i64>,
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Bigint)]
    n: i64,
    #[diesel(sql_type = Jsonb)]
    some: Value,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    who: Option<Vec<String>>,
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
    at: Option<Timestamp>,
}

impl Row {
    fn tell(self, kind: &'static str, text: String) -> NetChange {
        NetChange { text, who: self.who.unwrap_or_default(), at: self.at, owner_id: self.owner_id, kind }
    }
}

async fn rows(conn: &mut AsyncPgConnection, sql: String, limit: i64) -> Result<Vec<Row>> {
    Ok(diesel::sql_query(sql).bind::<Bigint, _>(limit).prepared().load(conn).await?)
}

async fn owners(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NetChange>> {
    let sql = format!(
        "with {WHO}, rows as (select key, (array_agg(before order by id))[1] as before, max(tx) as tx \
           from unpublished_rows where kind = 'owner' group by key) \
         select o.id as owner_id, o.name as owner, 1::bigint as n, array_remove(array[w.user_name], null) as who, w.at, \
           jsonb_build_array(r.before->>'external_id', o.external_id) as some, \
           case when coalesce(r.before->>'removed_at', r.before->>'id') is null or r.before->>'removed_at' is not null \
                  then case when o.removed_at is null then 'added' else '' end \
                when o.removed_at is not null then 'removed' \
                when r.before->>'external_id' <> o.external_id then 'changed' else '' end as what \
         from rows r join owners o on o.id = r.key::bigint left join who w using (tx) order by lower(o.name) limit $1"
    );
    let told = rows(conn, sql, limit).await?.into_iter().filter(|row| !row.what.is_empty()).map(|row| {
        let text = match row.what.as_str() {
            "changed" => {
                format!("Owner {}: external id {} to {}", row.owner, text(&row.some[0]), text(&row.some[1]))
            }
            what => format!("Owner {} {what}", row.owner),
        };
        row.tell("owner", text)
    });
    Ok(told.collect())
}

async fn servers(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NetChange>> {
    // of those that changed, each field with what it was and is
    let sql = format!(
        "with {WHO}, rows as (select key, (array_agg(before order by id))[1] as before, max(tx) as tx \
           from unpublished_rows where kind = 'server' group by key), \
         pairs as (select coalesce(s.owner_id, (r.before->>'owner_id')::bigint) as owner_id, coalesce(s.name, r.before->>'name') as name, r.tx, \
             r.before is not null and r.before->>'removed_at' is null as was, coalesce(s.removed_at is null and s.id is not null, false) as is_now, \
             (select jsonb_object_agg(field, jsonb_build_array(r.before->field, to_jsonb(s)->field)) \
              from unnest(array['external_id', 'address', 'port', 'job', 'scheme', 'metrics_path', 'labels', 'enabled']) field \
              where r.before->field is distinct from to_jsonb(s)->field) as fields \
           from rows r left join servers s on s.id = r.key::bigint), \
         net as (select *, case when is_now and not was then 'added' when was and not is_now then 'removed' \
             when not was or fields is null then '' when fields = '{{\"enabled\": [true, false]}}' then 'paused' \
             when fields = '{{\"enabled\": [false, true]}}' then 'resumed' else 'changed' end as what from pairs) \
         select n.owner_id, n.what, o.name as owner, count(*) as n, array_agg(distinct w.user_name) filter (where w.user_name is not null) as who, \
           max(w.at) as at, jsonb_path_query_array(jsonb_agg(jsonb_build_object('name', n.name, 'fields', case when n.what = 'changed' then n.fields end) \
             order by lower(n.name)), '$[0 to {TOLD}]') as some \
         from net n join owners o on o.id = n.owner_id left join who w using (tx) where n.what <> '' \
         group by n.owner_id, n.what, o.name order by lower(o.name), n.what limit $1"
    );
    let mut told = Vec::new();
    for row in rows(conn, sql, limit).await? {
        let some = row.some.as_array().cloned().unwrap_or_default();
        let names: Vec<String> = some.iter().map(|one| text(&one["name"])).collect();
        let text = match (row.what.as_str(), names.as_slice()) {
            ("changed", names) if names.len() <= TOLD => {
                let each =
                    some.iter().zip(names).map(|(one, name)| format!("{name}: {}", fields(&one["fields"])));
                format!("Server {} ({})", each.collect::<Vec<_>>().join("; "), row.owner)
            }
            (what, [name]) => format!("Server {name} {what} for {}", row.owner),
            (what, names) => {
                let more = if names.len() > TOLD { " …" } else { "" };
                let names = names[..names.len().min(TOLD)].join(", ");
                format!("{} servers {what} for {}: {names}{more}", row.n, row.owner)
            }
        };
        told.push(row.tell("server", text));
    }
    Ok(told)
}

async fn thresholds(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NetChange>> {
    let sql = format!(
        "with {WHO}, rows as (select key, (array_agg(before order by id))[1] as before, max(tx) as tx \
           from unpublished_rows where kind = 'threshold' group by key) \
         select o.id as owner_id, r.key as what, coalesce(s.name, o.name, 'everybody') as owner, 1::bigint as n, \
           array_remove(array[w.user_name], null) as who, w.at, jsonb_build_array(r.before, to_jsonb(t)) as some \
         from rows r left join thresholds t on threshold_key(t.rule, t.severity, t.owner_id, t.server_id) = r.key left join who w using (tx) \
           left join owners o on o.id = nullif(split_part(r.key, '/', 3), '')::bigint \
           left join servers s on s.id = nullif(split_part(r.key, '/', 4), '')::bigint order by r.key limit $1"
    );
    let rows = rows(conn, sql, limit).await?;
    let kinds = kinds::read(conn).await?;
    let mut told = Vec::new();
    for row in rows {
        let mut key = row.what.split('/');
        let (rule, severity) = (key.next().unwrap_or_default(), key.next().unwrap_or_default());
        let (before, now) = (setting(&row.some[0]), setting(&row.some[1]));
        if before == now {
            continue;
        }
        let title = kinds.title(rule);
        let say = |one: Option<Setting>, short| match (one, kinds.kind(rule)) {
            (None, _) => "inherited".to_owned(),
            (Some(one), Some(kind)) if short => limit_in_words(kind, one),
            (Some(one), Some(kind)) => in_words(kind, one),
            (Some(_), None) => "set".to_owned(),
        };
        // of a value alone the hold is no news
        let short = matches!((before, now), (Some(a), Some(b)) if a.enabled && b.enabled && a.hold == b.hold);
        let text =
            format!("{title} ({severity}) for {}: {} to {}", row.owner, say(before, short), say(now, short));
        told.push(row.tell("threshold", text));
    }
    Ok(told)
}

/// Other changes, in the words of whoever made them: no row was kept of what was before.
async fn notes(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NetChange>> {
    let sql = "select owner_id, summary as what, '' as owner, 1::bigint as n, array[user_name] as who, at, 'null'::jsonb as some \
         from pending_changes p where publication_id is null and not exists (select from unpublished_rows u where u.tx = p.tx) \
         order by id limit $1";
    let told = rows(conn, sql.to_owned(), limit).await?.into_iter().map(|row| {
        let text = row.what.clone();
        row.tell("note", text)
    });
    Ok(told.collect())
}

fn setting(row: &Value) -> Option<Setting> {
    let hold = u32::try_from(row["hold_seconds"].as_i64()?).ok()?;
    Some(Setting { value: row["value"].as_f64(), hold, enabled: row["enabled"].as_bool()? })
}

/// `address 10.0.0.5 to 10.0.0.6, port 9100 to 9101`.
fn fields(fields: &Value) -> String {
    let each =
        fields.as_object().into_iter().flatten().map(|(name, pair)| {
            format!("{} {} to {}", name.replace('_', " "), text(&pair[0]), text(&pair[1]))
        });
    each.collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(on) => if *on { "yes" } else { "no" }.into(),
        Value::String(text) => text.clone(),
        Value::Object(members) if members.is_empty() => "none".into(),
        Value::Object(members) => {
            let pairs = members.iter().map(|(name, value)| format!("{name}={}", text(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}
