//! Walking along an index and posting lists, a chunk of rows at a time, so that whoever walks may stop anywhere and nothing beyond is read.

use std::collections::{BTreeMap, VecDeque};

use amends_database::Database;
use amends_engine::ports::StoreError;
use surrealdb::types::{Array, SurrealValue, Value, Variables};

use crate::completed::{POSTED_COLUMNS, PostedRow, completed_id};
use crate::listed::ListedRow;
use crate::postings::Walk;
use crate::question::{Order, Source};
use crate::rank::Rank;
use crate::rows::{LISTED_COLUMNS, from_values};
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

/// A walk along the rows of one source, in order.
pub(crate) struct Scan<'a> {
    database: &'a Database,
    order: Order,
    /// Outside.
    end: String,
    lanes: Vec<Lane>,
    /// Rows of the next statement.
    chunk: usize,
    /// The last place given.
    last: Option<Rank>,
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
        database: &'a Database,
        order: Order,
        source: Source,
        (start, end): (String, String),
        first: usize,
    ) -> Self {
        let ways = source.into_iter().flat_map(|key| {
            let posted = Walk::new(order, key.clone(), start.clone());
            [Way::Index { key, from: start.clone() }, Way::Postings(posted)]
        });
        let lanes = ways.map(|way| Lane { way, read: VecDeque::new(), ended: false }).collect();
        Self { database, order, end, lanes, chunk: first.min(CHUNK_ROWS_MAX), last: None }
    }

    /// The next row and its place.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, ListedRow)>, StoreError> {
        loop {
            let mut filled = false;
            for lane in self.lanes.iter_mut().filter(|lane| lane.read.is_empty() && !lane.ended) {
                lane.fill(self.database, self.order, self.chunk).await?;
                filled = true;
            }
            if filled {
                self.chunk = CHUNK_ROWS_MAX;
            }
            let fronts = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((lane.read.front()?.0, index)));
            let first = if self.order.forward { fronts.min() } else { fronts.max() };
            let Some((place, row)) = first.and_then(|(_, index)| self.lanes[index].read.pop_front()) else {
                return Ok(None);
            };
            // It may stand in two blocks of one list.
            if self.last == Some(place) {
                continue;
            }
            self.last = Some(place);
            let text = place.to_string();
            return Ok(self.order.before(&text, &self.end).then_some((text, row)));
        }
    }
}

impl Lane {
    /// Reads on; nothing at the end only.
    async fn fill(&mut self, database: &Database, order: Order, limit: usize) -> Result<(), StoreError> {
        match &mut self.way {
            Way::Index { key, from } => {
                let values = database
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
                    let places = walk.next(database, limit).await?;
                    self.ended = places.is_empty();
                    self.read.extend(posted_rows(database, order, &places).await?);
                }
            }
        }
        Ok(())
    }
}

/// The rows that stand at these places, in their order. What is gone, or stands elsewhere by now, is left out.
async fn posted_rows(database: &Database, order: Order, places: &[Rank]) -> Result<Vec<(Rank, ListedRow)>, StoreError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Value> = places.iter().map(|place| completed_id(place.saga_id()).into_value()).collect();
    let mut bindings = Variables::new();
    bindings.insert("ids", Array::from(ids).into_value());
    let values = database
        .query_values(&format!("SELECT {POSTED_COLUMNS} FROM $ids"), bindings)
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
    database: &Database,
    order: Order,
    source: &Source,
    start: &str,
    most: usize,
) -> Result<bool, StoreError> {
    for key in source {
        let posted = Walk::new(order, key.clone(), start.to_owned()).next(database, most + 1).await?.len();
        let Some(rest) = most.checked_sub(posted) else { return Ok(false) };
        let statement = format!("{} START {rest}", statement(order, "VALUE id"));
        let beyond = database
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
