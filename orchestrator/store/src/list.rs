//! Lists of sagas: a page in one of the orders, from a place on, at a bounded cost.

use amends_database::{Database, Transaction};
use amends_engine::ports::StoreError;
use amends_schemas::cursor;
use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use amends_schemas::search::SagaSort;
use chrono::Utc;

use crate::listed::ListedRow;
use crate::question::{Order, Question, Source};
use crate::scan::{Scan, is_small, snapshot};

/// Rows looked at for one page: with some 10 µs for each a page stays well below 50 ms. A page that is not full by then says where it
/// ended, and the next one goes on from there.
pub(crate) const PAGE_ROWS_MAX: usize = 1_000;

/// Rows up to which one of several places to look at counts as small; looking at one so small is cheap enough not to look for a smaller.
const SMALL_ROWS: usize = 200;

/// A page.
pub(crate) async fn list(database: &Database, query: &ListSagas) -> Result<Page<SagaSummary>, StoreError> {
    let question = Question::new(&query.filter, Utc::now())?;
    let asked = question_of(query);
    let after = match &query.cursor {
        None => None,
        Some(cursor) => Some(cursor::open(cursor, &asked).ok_or_else(|| {
            StoreError::Invalid(
                "the cursor is not one that a page of this list gave: ask for the first page, without a cursor".into(),
            )
        })?),
    };
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let order = Order::of(query.sort);
    let (start, end) = between(order, question.bounds(query.sort), after);
    let snapshot = snapshot(database).await?;
    let (rows, rest) = match where_to_look(&snapshot, &question, query.sort, &start).await? {
        Place::Along(source) => {
            let mut scan = Scan::new(&snapshot, order, source, (start, end), limit + 1);
            along(&mut scan, &question, limit).await?
        }
        Place::Sorted(source) => sorted(&snapshot, &question, order, source, (&start, &end), limit).await?,
    };
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    let items = rows.into_iter().map(ListedRow::into_summary).collect::<Result<Vec<_>, _>>()?;
    Ok(Page { items, next_cursor: rest.map(|place| cursor::seal(&place, &asked)) })
}

/// What a cursor belongs to: the filter as it was asked, for an age means another time at every page.
fn question_of(query: &ListSagas) -> String {
    let filter = serde_json::to_string(&query.filter).unwrap_or_default();
    format!("{} {filter}", query.sort.as_str())
}

/// From where to where to walk, both outside.
fn between(order: Order, (low, high): (String, String), after: Option<&str>) -> (String, String) {
    let (mut start, end) = if order.forward { (low, high) } else { (high, low) };
    if let Some(after) = after.filter(|after| order.before(&start, after)) {
        after.clone_into(&mut start);
    }
    (start, end)
}

/// Where a page is to be found.
enum Place {
    /// Walking along an index in its order.
    Along(Source),
    /// Among so few rows that all of them can be read and put in order.
    Sorted(Source),
}

async fn where_to_look(
    snapshot: &Transaction,
    question: &Question,
    sort: SagaSort,
    start: &str,
) -> Result<Place, StoreError> {
    if Order::is_of_creation(sort) {
        return Ok(Place::Along(smallest(snapshot, question, Order::of(sort), start).await?));
    }
    let changes = question.source_of_changes();
    let newest = Order::of(SagaSort::NewestFirst);
    for source in question.sources().into_iter().filter(|source| *source != changes) {
        if is_small(snapshot, newest, &source, "", PAGE_ROWS_MAX / source.len()).await? {
            return Ok(Place::Sorted(source));
        }
    }
    Ok(Place::Along(changes))
}

/// Of several sources the first that is small; when none is, the first.
pub(crate) async fn smallest(
    snapshot: &Transaction,
    question: &Question,
    order: Order,
    start: &str,
) -> Result<Source, StoreError> {
    let mut sources = question.sources();
    if sources.len() > 1 {
        for (index, source) in sources.iter().enumerate() {
            if is_small(snapshot, order, source, start, SMALL_ROWS).await? {
                return Ok(sources.swap_remove(index));
            }
        }
    }
    Ok(sources.swap_remove(0))
}

/// The rows of a page, and where it ended if there may be more.
type Rows = (Vec<ListedRow>, Option<String>);

async fn along(scan: &mut Scan<'_>, question: &Question, limit: usize) -> Result<Rows, StoreError> {
    let mut found: Vec<ListedRow> = Vec::new();
    let mut last = None;
    let mut looked_at = 0;
    while let Some((place, row)) = scan.next().await? {
        if question.matches(&row) {
            // One more than asked for tells that there is a next page.
            if found.len() == limit {
                return Ok((found, last));
            }
            found.push(row);
            last = Some(place);
        } else if looked_at >= PAGE_ROWS_MAX {
            return Ok((found, Some(place)));
        }
        looked_at += 1;
    }
    Ok((found, None))
}

async fn sorted(
    snapshot: &Transaction,
    question: &Question,
    order: Order,
    source: Source,
    (start, end): (&str, &str),
    limit: usize,
) -> Result<Rows, StoreError> {
    let newest = Order::of(SagaSort::NewestFirst);
    let everything = between(newest, question.bounds(SagaSort::NewestFirst), None);
    let mut scan = Scan::new(snapshot, newest, source, everything, PAGE_ROWS_MAX);
    let mut found: Vec<(String, ListedRow)> = Vec::new();
    while let Some((_, row)) = scan.next().await? {
        let turn = row.place(order)?.to_string();
        if question.matches(&row) && order.before(start, &turn) && order.before(&turn, end) {
            found.push((turn, row));
        }
    }
    found.sort_by(|(one, _), (other, _)| if order.forward { one.cmp(other) } else { other.cmp(one) });
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|(turn, _)| turn.clone());
    Ok((found.into_iter().map(|(_, row)| row).collect(), last))
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use amends_schemas::saga::SagaStatus;
    use amends_schemas::search::SagaFilter;
    use surrealdb::types::Value;

    use super::*;
    use crate::rows::LISTED_COLUMNS;
    use crate::scan::{bindings, statement};

    /// A list of a million sagas is as fast as a list of ten only while this holds, together with the bound on how many rows are looked at.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_question_is_one_bounded_scan_of_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "test").await.unwrap();
        crate::schema::define(&database).await.unwrap();
        for sort in SagaSort::ALL {
            let order = Order::of(sort);
            let index = if Order::is_of_creation(sort) { "index: saga_key" } else { "index: saga_turn" };
            let (bound, direction) =
                if order.forward { ("MoreThan", "direction: Forward") } else { ("LessThan", "direction: Backward") };
            for (columns, offset) in [(LISTED_COLUMNS, ""), ("VALUE id", " START 200")] {
                let explain = format!("EXPLAIN {}{offset}", statement(order, columns));
                let bindings = bindings("s/stuck", "0", 51);
                let plan = database.query_values(&explain, bindings).await.unwrap().take_values(0).unwrap();
                let [Value::String(plan)] = &plan[..] else { panic!("{plan:?}") };
                for wanted in ["IndexScan", index, bound, direction, "limit: "] {
                    assert!(plan.contains(wanted), "{sort:?}: {wanted}: {plan}");
                }
                assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{sort:?}: {plan}");
            }
        }
    }

    #[test]
    fn each_criterion_leads_to_keys_that_few_sagas_have() {
        let filter = SagaFilter::default;
        let stuck = || vec![SagaStatus::Stuck];
        for (filter, sources) in [
            (filter(), "*"),
            (SagaFilter { status: stuck(), ..filter() }, "s/stuck"),
            (SagaFilter { status: vec![SagaStatus::Stuck, SagaStatus::Running], ..filter() }, "s/running+s/stuck"),
            (SagaFilter { status: vec![SagaStatus::Completed], ..filter() }, "*"),
            (SagaFilter { status: vec![SagaStatus::Stuck, SagaStatus::Completed], ..filter() }, "*"),
            (SagaFilter { status: vec![SagaStatus::Completed], definition: Some("a".into()), ..filter() }, "d/a"),
            (SagaFilter { status: vec![SagaStatus::Completed], tag: vec!["t".into()], ..filter() }, "t/t"),
            (SagaFilter { definition: Some("a".into()), ..filter() }, "d/a"),
            (SagaFilter { definition: Some("a".into()), version: Some(2), ..filter() }, "v/a/2"),
            (
                SagaFilter { status: stuck(), definition: Some("a".into()), version: Some(2), ..filter() },
                "sd/stuck/a v/a/2",
            ),
            (SagaFilter { status: stuck(), tag: vec!["t".into()], ..filter() }, "st/stuck/t s/stuck"),
            (SagaFilter { tag: vec!["t".into(), "u".into()], ..filter() }, "t/t t/u"),
            (SagaFilter { tag_prefix: Some("event_1".into()), ..filter() }, "k/event"),
            (SagaFilter { tag_prefix: Some("eve".into()), ..filter() }, "*"),
            (
                SagaFilter { step: Some("pay".into()), error: Some("no".into()), text: Some("b a".into()), ..filter() },
                "e/no w/a w/b x/pay",
            ),
            (SagaFilter { paused: Some(true), ..filter() }, "p"),
            (SagaFilter { paused: Some(false), ..filter() }, "*"),
        ] {
            let question = Question::new(&filter, Utc::now()).unwrap();
            let found: Vec<String> = question.sources().iter().map(|source| source.join("+")).collect();
            assert_eq!(found.join(" "), sources, "{filter:?}");
        }
    }
}
