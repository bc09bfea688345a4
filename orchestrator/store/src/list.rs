//! Lists of sagas, newest first: by which key they are found, in which order, and from where on.

use amends_core::state::SagaState;
use amends_database::Database;
use amends_engine::ports::StoreError;
use amends_schemas::cursor;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use chrono::{DateTime, Utc};
use surrealdb::types::Variables;

use crate::rows::{SUMMARY_COLUMNS, SummaryRow, from_values};
use crate::store::unavailable;

/// Sorts newest first, and sagas of the same microsecond by id, so that the order is total and never changes.
pub(crate) fn rank_of(created_at: DateTime<Utc>, saga_id: SagaId) -> String {
    // Flipping the sign bit makes the order of the bits the order of time; inverting them turns it round.
    let ascending = created_at.timestamp_micros().cast_unsigned() ^ (1 << 63);
    format!("{:016x}{:032x}", !ascending, !saga_id.uuid().as_u128())
}

/// Every key under which a saga is found.
pub(crate) fn keys_of(partition: PartitionId, state: &SagaState) -> Vec<String> {
    let status = state.status.as_str();
    let definition = &state.definition.name;
    let mut keys =
        vec!["*".to_owned(), format!("s/{status}"), format!("d/{definition}"), format!("sd/{status}/{definition}")];
    for tag in &state.tags {
        keys.push(format!("t/{tag}"));
        keys.push(format!("st/{status}/{tag}"));
    }
    if !state.is_settled() {
        keys.push(unsettled_key(partition));
    }
    keys
}

/// The key of what a new owner of a partition must load.
pub(crate) fn unsettled_key(partition: PartitionId) -> String {
    format!("u/{partition}")
}

/// The key that narrows a question most. With a tag, the definition is left to a condition on what the key finds: a tag
/// (a registration, an event) is what few sagas share.
fn key_of(query: &ListSagas) -> String {
    match (query.status, &query.definition, &query.tag) {
        (None, None, None) => "*".to_owned(),
        (Some(status), None, None) => format!("s/{}", status.as_str()),
        (None, Some(definition), None) => format!("d/{definition}"),
        (Some(status), Some(definition), None) => format!("sd/{}/{definition}", status.as_str()),
        (None, _, Some(tag)) => format!("t/{tag}"),
        (Some(status), _, Some(tag)) => format!("st/{}/{tag}", status.as_str()),
    }
}

/// The statement for a question: one scan of one index, that ends after `$limit` rows.
fn statement(query: &ListSagas) -> String {
    let and_definition = match (&query.definition, &query.tag) {
        (Some(_), Some(_)) => " AND definition = $definition",
        (Some(_) | None, None) | (None, Some(_)) => "",
    };
    format!(
        "SELECT {SUMMARY_COLUMNS} FROM saga WHERE keys CONTAINS $key AND rank > $after{and_definition} ORDER BY rank LIMIT $limit"
    )
}

fn bindings(query: &ListSagas, key: String, after: String, limit: usize) -> Variables {
    let mut bindings = Variables::new();
    bindings.insert("key", key);
    bindings.insert("after", after);
    bindings.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
    if let (Some(definition), Some(_)) = (&query.definition, &query.tag) {
        bindings.insert("definition", definition.clone());
    }
    bindings
}

/// A page, newest first. Sagas that are added meanwhile stand before the first page and move nothing.
pub(crate) async fn list(database: &Database, query: &ListSagas) -> Result<Page<SagaSummary>, StoreError> {
    let key = key_of(query);
    let question = format!("{key}\n{}", query.definition.as_deref().unwrap_or_default());
    let after = match &query.cursor {
        None => String::new(),
        Some(cursor) => cursor::open(cursor, &question).map(str::to_owned).ok_or_else(|| {
            StoreError::Invalid(
                "the cursor is not one that a page of this list gave: ask for the first page, without a cursor".into(),
            )
        })?,
    };
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    // One more than asked for tells whether there is a next page.
    let values = database
        .query_values(&statement(query), bindings(query, key, after, limit + 1))
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("listing sagas", &error))?;
    let mut rows: Vec<SummaryRow> = from_values("saga", values)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|last| cursor::seal(&last.rank, &question));
    let items = rows.into_iter().map(SummaryRow::into_summary).collect::<Result<Vec<_>, _>>()?;
    Ok(Page { items, next_cursor })
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use amends_schemas::saga::SagaStatus;
    use chrono::TimeZone;
    use surrealdb::types::Value;

    use super::*;

    #[test]
    fn later_sagas_rank_first() {
        let (low, high) = (SagaId(uuid::Uuid::from_u128(1)), SagaId(uuid::Uuid::from_u128(2)));
        let at = |micros| Utc.timestamp_micros(micros).unwrap();
        assert!(rank_of(at(1_000_001), low) < rank_of(at(1_000_000), high));
        assert!(rank_of(at(1_000_000), high) < rank_of(at(1_000_000), low));
        assert!(rank_of(at(0), low) < rank_of(at(-1), low));
        assert_eq!(rank_of(at(0), low).len(), 48);
    }

    /// A list of a million sagas is as fast as a list of ten only while this holds.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_question_is_one_bounded_scan_of_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "test").await.unwrap();
        crate::schema::define(&database).await.unwrap();
        let statuses = [None, Some(SagaStatus::Stuck)];
        let names = [None, Some("registration".to_owned())];
        let tags = [None, Some("event:1".to_owned())];
        for status in statuses {
            for definition in &names {
                for tag in &tags {
                    let query = ListSagas {
                        status,
                        definition: definition.clone(),
                        tag: tag.clone(),
                        cursor: None,
                        limit: None,
                    };
                    let explain = format!("EXPLAIN {}", statement(&query));
                    let bindings = bindings(&query, key_of(&query), "0".into(), 51);
                    let plan = database.query_values(&explain, bindings).await.unwrap().take_values(0).unwrap();
                    let [Value::String(plan)] = &plan[..] else { panic!("{plan:?}") };
                    assert!(plan.contains("IndexScan") && plan.contains("index: saga_key"), "{query:?}: {plan}");
                    assert!(plan.contains("MoreThan") && plan.contains("direction: Forward"), "{query:?}: {plan}");
                    assert!(plan.to_lowercase().contains("limit: ") && !plan.contains("Sort"), "{query:?}: {plan}");
                }
            }
        }
    }
}
