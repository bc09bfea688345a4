//! Walking along an index and posting lists, a chunk of rows at a time, so that whoever walks may stop anywhere and nothing beyond is read.

use std::collections::{BTreeMap, VecDeque};

use amends_database::{Database, Transaction};
use amends_engine::ports::StoreError;
use surrealdb::types::{RecordId, Variables};

use crate::completed::{POSTED_COLUMNS, PostedRow, completed_id};
use crate::keys::lasts;
use crate::listed::ListedRow;
use crate::postings::Walk;
use crate::question::{Order, Source};
use crate::rank::Rank;
use crate::rows::{LISTED_COLUMNS, from_values, ids};
use crate::store::unavailable;

const DOING: &str = "listing sagas";

/// Most rows read by one statement: bounds the memory of one answer.
pub(crate) const CHUNK_ROWS_MAX: usize = 250;

/// One scan of one index, that ends after `$limit` rows. Only the bound it starts from stands in it: with one on the other side SurrealDB
/// would read on to the end of the index to find nothing more; rows come in order, so that whoever walks knows when to stop.
pub(crate) fn statement(order: Order, columns: &str) -> String {
    let Order { keys, place, forward } = order;
    let (from, direction) = if forward { (">", "") } else { ("<", " DESC") };
    format!(
        "SELECT {columns} FROM saga WHERE {keys} CONTAINS $key AND {place} {from} $from ORDER BY {place}{direction} LIMIT $limit"
    )
}

pub(crate) fn bindings(key: &str, from: &str, limit: usize) -> Variables {
    let mut bindings = Variables::new();
    bindings.insert("key", key.to_owned());
    bindings.insert("from", from.to_owned());
    bindings.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
    bindings
}

/// What a page is read from: a row that moves from the index into posting lists, or back, while it is read is found where it stood.
pub(crate) async fn snapshot(database: &Database) -> Result<Transaction, StoreError> {
    database.begin().await.map_err(|error| unavailable(DOING, &error))
}

/// A walk along the rows of one source, in order.
pub(crate) struct Scan<'a> {
    snapshot: &'a Transaction,
    order: Order,
    /// Outside.
    end: String,
    lanes: Vec<Lane>,
    /// Rows of the next statement.
    chunk: usize,
}

/// The rows of one key that are found in one way.
struct Lane {
    way: Way,
    read: VecDeque<(Rank, ListedRow)>,
    ended: bool,
}

enum Way {
    /// Along the index, from a place on, outside.
    Index { key: String, from: String },
    /// Along its posting lists.
    Postings(Walk),
}

impl<'a> Scan<'a> {
    /// Between two places, both outside. The first statement reads `first` rows, later ones more.
    pub(crate) fn new(
        snapshot: &'a Transaction,
        order: Order,
        source: Source,
        (start, end): (String, String),
        first: usize,
    ) -> Self {
        let ways = source.into_iter().flat_map(|key| {
            let posted = lasts(&key).then(|| Way::Postings(Walk::new(order, key.clone(), start.clone())));
            std::iter::once(Way::Index { key, from: start.clone() }).chain(posted)
        });
        let lanes = ways.map(|way| Lane { way, read: VecDeque::new(), ended: false }).collect();
        Self { snapshot, order, end, lanes, chunk: first.min(CHUNK_ROWS_MAX) }
    }

    /// The next row and its place.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, ListedRow)>, StoreError> {
        let mut filled = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.read.is_empty() && !lane.ended) {
            lane.fill(self.snapshot, self.order, self.chunk).await?;
            filled = true;
        }
        if filled {
            self.chunk = CHUNK_ROWS_MAX;
        }
        let fronts = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((lane.read.front()?.0, index)));
        let first = if self.order.forward { fronts.min() } else { fronts.max() };
        let next = first.and_then(|(_, index)| self.lanes[index].read.pop_front());
        let next = next.map(|(place, row)| (place.to_string(), row));
        Ok(next.filter(|(place, _)| self.order.before(place, &self.end)))
    }
}

impl Lane {
    /// Reads on; nothing at the end only.
    async fn fill(&mut self, snapshot: &Transaction, order: Order, limit: usize) -> Result<(), StoreError> {
        match &mut self.way {
            Way::Index { key, from } => {
                let values = snapshot
                    .query_values(&statement(order, LISTED_COLUMNS), bindings(key, from, limit))
                    .await
                    .and_then(|mut rows| rows.take_values(0))
                    .map_err(|error| unavailable(DOING, &error))?;
                self.ended = values.len() < limit;
                for row in from_values::<ListedRow>("saga", values)? {
                    self.read.push_back((row.place(order)?, row));
                }
                if let Some((place, _)) = self.read.back() {
                    *from = place.to_string();
                }
            }
            Way::Postings(walk) => {
                while self.read.is_empty() && !self.ended {
                    let places = walk.next(snapshot, limit).await?;
                    self.ended = places.is_empty();
                    self.read.extend(posted_rows(snapshot, order, &places).await?);
                }
            }
        }
        Ok(())
    }
}

/// The rows that stand at these places, in their order. What is gone, or stands elsewhere by now, is left out.
async fn posted_rows(
    snapshot: &Transaction,
    order: Order,
    places: &[Rank],
) -> Result<Vec<(Rank, ListedRow)>, StoreError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let record_ids: Vec<RecordId> = places.iter().map(|place| completed_id(place.saga_id())).collect();
    let values = snapshot
        .query_values(&format!("SELECT {POSTED_COLUMNS} FROM $ids"), ids("ids", &record_ids))
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(DOING, &error))?;
    let mut rows = BTreeMap::new();
    for row in from_values::<PostedRow>("completed", values)? {
        let row = ListedRow::of_posted(row.posted()?);
        rows.insert(row.place(order)?, row);
    }
    Ok(places.iter().filter_map(|place| rows.remove_entry(place)).collect())
}

/// Whether a source holds at most `most` rows from a place on, for each of its keys.
pub(crate) async fn is_small(
    snapshot: &Transaction,
    order: Order,
    source: &Source,
    start: &str,
    most: usize,
) -> Result<bool, StoreError> {
    for key in source {
        let mut posted = Vec::new();
        if lasts(key) {
            posted = Walk::new(order, key.clone(), start.to_owned()).next(snapshot, most + 1).await?;
        }
        let Some(rest) = most.checked_sub(posted.len()) else { return Ok(false) };
        let statement = format!("{} START {rest}", statement(order, "VALUE id"));
        let beyond = snapshot
            .query_values(&statement, bindings(key, start, 1))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("choosing where to look for sagas", &error))?;
        if !beyond.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
