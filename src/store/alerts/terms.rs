//! What an alert can be found by: its labels as `name=value`, and the words of its labels, its first annotations and its
//! server's name. An alert's labels never change, so they are kept once for all of its episodes. Under row-level
//! security an index serves only comparisons that PostgreSQL knows to be leakproof; those of `text` are, full text and
//! `jsonb` are not.

use std::collections::{BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Integer, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::select::{Identity, Reach};
use crate::error::Result;
use crate::store::scope::All;
use crate::store::statement::{Prepare, Statement};
use crate::store::{Db, live};

/// Bytes of a term that count.
const LONGEST: usize = 200;
/// Terms of an alert.
const MOST: usize = 100;
/// Alerts that one step makes searchable.
const STEP: i64 = 500;
/// Of the terms that somebody typed, as many count.
const MOST_TYPED: usize = 8;

/// One thing that was searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// A label with its value.
    Exactly(String),
    /// The beginning of a word.
    Begins(String),
}

impl Term {
    /// A label with this value.
    pub(super) fn label(name: &str, value: &str) -> Self {
        Self::Exactly(pair(name, value))
    }

    /// What somebody typed: `name=value` means a label, anything else the beginning of a word.
    pub(super) fn typed(text: &str) -> Vec<Self> {
        let mut terms = Vec::new();
        for part in text.split_whitespace() {
            match part.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    terms.push(Self::label(name, value.trim_matches('"')));
                }
                _ => terms.extend(words(part).into_iter().map(Self::Begins)),
            }
        }
        if terms.is_empty() && !text.trim().is_empty() {
            // signs only, which nothing begins with
            terms.push(Self::Begins(text.trim().to_owned()));
        }
        terms.truncate(MOST_TYPED);
        terms
    }

    /// ` and t.term …`
    pub(super) fn condition(&self, statement: &mut Statement<'_>) {
        match self {
            Self::Exactly(term) => {
                statement.text(" and t.term = ").value::<Text, _>(term.clone());
            }
            Self::Begins(word) => {
                statement.text(" and t.term >= ").value::<Text, _>(word.clone());
                // the last of all characters
                statement.text(" and t.term < ").value::<Text, _>(format!("{word}\u{10ffff}"));
            }
        }
    }

    /// The alerts that have it; `None`: more than `most`.
    pub(super) async fn identities(
        &self,
        db: &mut Db,
        reach: &Reach,
        most: usize,
    ) -> Result<Option<HashSet<Identity>>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Integer)]
            cluster_id: i32,
            #[diesel(sql_type = Text)]
            fingerprint: String,
        }
        let mut statement = Statement::new("select t.cluster_id, t.fingerprint from alert_terms t where ");
        match reach {
            Reach::All => {
                statement.text("true");
            }
            Reach::Unassigned => {
                statement.text("t.owner_id = 0");
            }
            Reach::Owners(ids) => {
                statement.text("t.owner_id = any(").value::<Array<Bigint>, _>(ids.clone()).text(")");
            }
        }
        self.condition(&mut statement);
        // an alert may have several words that begin so
        let limit = match self {
            Self::Exactly(_) => most + 1,
            Self::Begins(_) => most * 4,
        };
        statement.text(" limit ").value::<Bigint, _>(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<Row> = statement.load(db.conn()).await?;
        let all = rows.len() < limit;
        let found: HashSet<_> = rows.into_iter().map(|row| (row.cluster_id, row.fingerprint)).collect();
        Ok((all && found.len() <= most).then_some(found))
    }
}

fn pair(name: &str, value: &str) -> String {
    cut(format!("{name}={value}"))
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

/// The words of a text in lower case: what stands between spaces, and the letters and digits in it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in text.split(|c: char| c.is_whitespace() || c == '=') {
        let whole = part.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        if whole.is_empty() {
            continue;
        }
        words.push(cut(whole));
    }
    words
}

/// Everything that an alert is found by.
fn terms_of(
    labels: Option<&serde_json::Value>,
    annotations: Option<&serde_json::Value>,
    server: Option<&str>,
) -> BTreeSet<String> {
    let texts = |value: Option<&serde_json::Value>| {
        let pairs = value.and_then(serde_json::Value::as_object).into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect::<Vec<_>>()
    };
    let mut terms = BTreeSet::new();
    for (name, value) in texts(labels) {
        terms.insert(pair(&name, &value));
        note_words(&mut terms, &value);
    }
    note_words(&mut terms, server.unwrap_or_default());
    for (_, text) in texts(annotations) {
        if terms.len() >= MOST {
            break;
        }
        note_words(&mut terms, &text);
    }
    terms
}

fn note_words(terms: &mut BTreeSet<String>, text: &str) {
    for word in words(text) {
        let parts = word.split(|c: char| !c.is_alphanumeric());
        let parts: Vec<String> = parts.filter(|part| part.chars().count() > 1).map(str::to_owned).collect();
        terms.extend(parts);
        terms.insert(word);
    }
}

/// Held by who makes alerts findable or gives them to an owner: what is found by must go with them.
const TERMS_LOCK: i64 = 0x7072_6f6d_6d67_7207;

/// Waits until nobody makes alerts findable, to the end of the transaction.
pub(in crate::store) async fn adopting(conn: &mut AsyncPgConnection) -> Result<()> {
    diesel::sql_query(format!("select pg_advisory_xact_lock({TERMS_LOCK})")).execute(conn).await?;
    Ok(())
}

/// Makes alerts that are new findable, some hundreds; returns how many of them are now. A step of the worker.
pub async fn index(db: &mut Db, _: All) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Fresh {
        #[diesel(sql_type = Integer)]
        cluster_id: i32,
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Nullable<Bigint>)]
        owner_id: Option<i64>,
        #[diesel(sql_type = Nullable<Jsonb>)]
        labels: Option<serde_json::Value>,
        #[diesel(sql_type = Nullable<Jsonb>)]
        annotations: Option<serde_json::Value>,
        #[diesel(sql_type = Nullable<Text>)]
        server: Option<String>,
    }
    db.transaction(async |conn| {
        adopting(conn).await?;
        let fresh: Vec<Fresh> = diesel::sql_query(
            "select h.cluster_id, h.fingerprint, a.owner_id, a.labels, a.annotations, s.name as server \
             from (select * from alert_heads where not findable limit $1) h \
             left join lateral (select * from alerts a where a.fingerprint = h.fingerprint and a.cluster_id = h.cluster_id limit 1) a on true \
             left join servers s on s.owner_id = a.owner_id and s.id = a.server_id",
        )
        .bind::<Bigint, _>(STEP)
        .prepared()
        .load(conn)
        .await?;
        let (mut owners, mut terms, mut clusters, mut fingerprints) = (vec![], vec![], vec![], vec![]);
        for alert in &fresh {
            for term in terms_of(alert.labels.as_ref(), alert.annotations.as_ref(), alert.server.as_deref()) {
                owners.push(alert.owner_id.unwrap_or(0));
                terms.push(term);
                clusters.push(alert.cluster_id);
                fingerprints.push(alert.fingerprint.as_str());
            }
        }
        add(conn, &owners, &terms, &clusters, &fingerprints).await?;
        // the intake's are left for the next step: neither waits for the other
        let done = diesel::sql_query(
            "update alert_heads set findable = true where (cluster_id, fingerprint) in ( \
               select h.cluster_id, h.fingerprint from unnest($1, $2) f(cluster, fingerprint) \
               join alert_heads h on h.cluster_id = f.cluster and h.fingerprint = f.fingerprint for update of h skip locked)",
        )
        .bind::<Array<Integer>, _>(fresh.iter().map(|alert| alert.cluster_id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(fresh.iter().map(|alert| alert.fingerprint.as_str()).collect::<Vec<_>>())
        .prepared()
        .execute(conn)
        .await?;
        if !fresh.is_empty() {
            // lists that search did not find them when they came
            live::tell(conn, fresh.iter().map(|alert| alert.owner_id)).await?;
        }
        Ok(done)
    })
    .await
}

/// A server's alerts are found by its new name too.
pub(in crate::store) async fn renamed(
    conn: &mut AsyncPgConnection,
    owner: i64,
    server: i64,
    name: &str,
) -> Result<()> {
    let mut terms = BTreeSet::new();
    note_words(&mut terms, name);
    diesel::sql_query(
        "insert into alert_terms (owner_id, term, cluster_id, fingerprint) \
         select $1, t, a.cluster_id, a.fingerprint from unnest($3) t, \
         (select distinct cluster_id, fingerprint from alerts where owner_id = $1 and server_id = $2) a \
         on conflict do nothing",
    )
    .bind::<Bigint, _>(owner)
    .bind::<Bigint, _>(server)
    .bind::<Array<Text>, _>(terms.into_iter().collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// What unassigned alerts are found by goes with them to their owners: (cluster, fingerprint, owner).
pub(super) async fn adopt(conn: &mut AsyncPgConnection, adopted: &[(i32, String, i64)]) -> Result<()> {
    diesel::sql_query(
        "update alert_terms t set owner_id = a.owner from unnest($1, $2, $3) a(cluster, fingerprint, owner) \
         where t.cluster_id = a.cluster and t.fingerprint = a.fingerprint and t.owner_id = 0",
    )
    .bind::<Array<Integer>, _>(adopted.iter().map(|alert| alert.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(adopted.iter().map(|alert| alert.1.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bigint>, _>(adopted.iter().map(|alert| alert.2).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn add(
    conn: &mut AsyncPgConnection,
    owners: &[i64],
    terms: &[String],
    clusters: &[i32],
    fingerprints: &[&str],
) -> Result<()> {
    diesel::sql_query(
        "insert into alert_terms (owner_id, term, cluster_id, fingerprint) select * from unnest($1, $2, $3, $4) \
         on conflict do nothing",
    )
    .bind::<Array<Bigint>, _>(owners)
    .bind::<Array<Text>, _>(terms)
    .bind::<Array<Integer>, _>(clusters)
    .bind::<Array<Text>, _>(fingerprints)
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_whole_and_words_by_their_beginning() {
        let begins = |word: &str| Term::Begins(word.to_owned());
        assert_eq!(Term::typed("job=\"node\" Web-1"), [Term::Exactly("job=node".into()), begins("web-1")]);
        assert_eq!(Term::typed("=x /var/log,"), [begins("x"), begins("var/log")]);
        assert_eq!(Term::typed("97 %"), [begins("97")]);
        assert_eq!(Term::typed("_%_"), [begins("_%_")]);
        assert_eq!(Term::typed("  "), []);
    }

    #[test]
    fn an_alert_has_its_labels_its_words_and_their_parts() {
        let labels = serde_json::json!({ "instance": "10.0.0.5:9100", "device": "sda1" });
        let annotations = serde_json::json!({ "summary": "Disk of Web-1 is full (95 %)" });
        let terms = terms_of(Some(&labels), Some(&annotations), Some("web-1.example"));
        for term in [
            "instance=10.0.0.5:9100",
            "10.0.0.5:9100",
            "9100",
            "sda1",
            "web",
            "web-1",
            "example",
            "full",
            "95",
        ] {
            assert!(terms.contains(term), "{term} of {terms:?}");
        }
    }
}
