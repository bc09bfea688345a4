//! Walking along an index, a chunk of rows at a time, so that whoever walks may stop anywhere and nothing beyond is read.

use std::collections::VecDeque;

use amends_database::Database;
use amends_engine::ports::StoreError;
use surrealdb::types::Variables;

use crate::listed::ListedRow;
use crate::question::{Order, Source};
use crate::rows::{LISTED_COLUMNS, from_values};
use crate::store::unavailable;

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
}

/// The rows of one key.
struct Lane {
    key: String,
    from: String,
    read: VecDeque<(String, ListedRow)>,
    ended: bool,
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
        let lane = |key| Lane { key, from: start.clone(), read: VecDeque::new(), ended: false };
        Self { database, order, end, lanes: source.into_iter().map(lane).collect(), chunk: first.min(CHUNK_ROWS_MAX) }
    }

    /// The next row and its place.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, ListedRow)>, StoreError> {
        for lane in &mut self.lanes {
            if lane.read.is_empty() && !lane.ended {
                lane.fill(self.database, self.order, self.chunk).await?;
                self.chunk = CHUNK_ROWS_MAX;
            }
        }
        let mut first: Option<usize> = None;
        for (index, lane) in self.lanes.iter().enumerate() {
            let Some((place, _)) = lane.read.front() else { continue };
            let best = first.and_then(|first| self.lanes[first].read.front());
            if best.is_none_or(|(best, _)| self.order.before(place, best)) {
                first = Some(index);
            }
        }
        let next = first.and_then(|first| self.lanes[first].read.pop_front());
        Ok(next.filter(|(place, _)| self.order.before(place, &self.end)))
    }
}

impl Lane {
    async fn fill(&mut self, database: &Database, order: Order, limit: usize) -> Result<(), StoreError> {
        let values = database
            .query_values(&statement(order, LISTED_COLUMNS), bindings(&self.key, &self.from, limit))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("listing sagas", &error))?;
        self.ended = values.len() < limit;
        for row in from_values::<ListedRow>("saga", values)? {
            let place = if order.place == "rank" { row.rank().to_owned() } else { row.turn()? };
            self.read.push_back((place, row));
        }
        if let Some((place, _)) = self.read.back() {
            self.from.clone_from(place);
        }
        Ok(())
    }
}

/// Whether a source holds at most `most` rows from a place on, for each of its keys.
pub(crate) async fn is_small(
    database: &Database,
    order: Order,
    source: &Source,
    start: &str,
    most: usize,
) -> Result<bool, StoreError> {
    let statement = format!("{} START {most}", statement(order, "VALUE rank"));
    for key in source {
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
