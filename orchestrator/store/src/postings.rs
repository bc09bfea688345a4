//! Posting lists: where sagas stand in the orders of lists, many of them in one record.
//!
//! An entry of an index costs the database some 9 µs and a place in a blob next to nothing, and half of all that it wrote were entries of sagas that had
//! completed, which are nearly all and hardly ever change again. Their rows stand in a table without an index ([`completed`](crate::completed)),
//! and a projection writes one *block* for each key and span of time: the places of all sagas that it wrote, accepted (or last changed) in that
//! span. A record's id is `[order, key, span, block]`, so that a list is a walk along ids, which takes the blocks of a span together.
//!
//! A block is written once. A place of which the row is gone or has moved is passed over, and a place that stands in two blocks is taken
//! once; whoever removes a row, or writes it again, takes its places out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amends_core::state::SagaState;
use amends_database::{DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};
use surrealdb::types::{Array, Bytes, RecordId, SurrealValue, Value, Variables};
use uuid::Uuid;

use crate::keys::{lasting_keys, lasting_turns};
use crate::question::{BY_CHANGE, BY_CREATION, Order};
use crate::rank::{Rank, time_of_rank};
use crate::rows::{array_of, from_values};
use crate::store::unavailable;

/// Microseconds of one span, as a power of two: a quarter of a second. A page reads whole spans, and writing a block costs as much as writing a
/// few entries of an index: with a hundred sagas a second a block holds 26 places, with ten thousand a span is some 60 KB.
const SPAN_BITS: u32 = 18;

/// Sagas accepted in one span from which on they are posted.
const POSTED_MIN: usize = 8;

/// Blocks read by the first statement of a walk; later ones read more, up to the other.
const BLOCKS_FIRST: usize = 4;
const BLOCKS_MAX: usize = 64;

/// Blocks written by one statement.
const CHUNK_BLOCKS: usize = 500;

/// Blocks read at most by one statement of a walk from the earliest on, whose first looks through this many spans, and each further one through so
/// many times more or fewer.
const BLOCKS_WINDOW: usize = 16;
const WIDTH_FIRST: i64 = 64;
const WIDTH_FACTOR: i64 = 8;

/// Of the earliest time there is.
const SPAN_LAST: i64 = (1 << (64 - SPAN_BITS)) - 1;

/// What says where a saga is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) saga_id: SagaId,
    pub(crate) definition: String,
    pub(crate) version: i64,
    pub(crate) tags: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// One of the lists, at one span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    order: &'static str,
    key: String,
    span: i64,
}

impl Posted {
    pub(crate) fn new(state: &SagaState) -> Self {
        Self {
            saga_id: state.saga_id,
            definition: state.definition.name.to_string(),
            version: i64::from(state.definition.version),
            tags: state.tags.iter().cloned().collect(),
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }

    fn places(&self) -> impl Iterator<Item = (Spot, Rank)> {
        let (created, changed) = (Rank::new(self.created_at, self.saga_id), Rank::new(self.updated_at, self.saga_id));
        let keys = lasting_keys(&self.definition, self.version, &self.tags).into_iter();
        let turns = lasting_turns(&self.definition).into_iter();
        let spot = |order, rank: Rank| move |key| (Spot { order, key, span: span_of(rank) }, rank);
        keys.map(spot(BY_CREATION, created)).chain(turns.map(spot(BY_CHANGE, changed)))
    }
}

fn span_of(rank: Rank) -> i64 {
    span_of_time(rank.time())
}

fn span_of_time(time: u64) -> i64 {
    i64::try_from(time >> SPAN_BITS).expect("fewer bits than a number has")
}

/// Of sagas that could be posted those that are: where many were accepted in the same span.
pub(crate) fn worth_posting(accepted: impl Iterator<Item = (SagaId, DateTime<Utc>)>) -> BTreeSet<SagaId> {
    let mut spans: BTreeMap<i64, Vec<SagaId>> = BTreeMap::new();
    for (saga_id, at) in accepted {
        spans.entry(span_of(Rank::new(at, saga_id))).or_default().push(saga_id);
    }
    spans.into_values().filter(|sagas| sagas.len() >= POSTED_MIN).flatten().collect()
}

/// A record of `posting`.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct Block {
    id: RecordId,
    places: Bytes,
}

impl Block {
    fn new(spot: Spot, mut ranks: Vec<Rank>) -> Self {
        ranks.sort_unstable();
        let key = vec![
            spot.order.to_owned().into_value(),
            spot.key.into_value(),
            spot.span.into_value(),
            Uuid::now_v7().simple().to_string().into_value(),
        ];
        Self { id: RecordId::new("posting", Array::from(key)), places: bytes_of(&ranks) }
    }

    /// Its span and its own name.
    fn place(&self) -> Result<(i64, String), StoreError> {
        match array_of(&self.id) {
            [_, _, span, Value::String(name)] => span.as_int().copied().map(|span| (span, name.clone())),
            _ => None,
        }
        .ok_or_else(|| StoreError::Damaged("a posting has an id of another kind".into()))
    }

    fn ranks(&self) -> Result<Vec<Rank>, StoreError> {
        let (places, rest) = self.places.as_chunks::<{ Rank::BYTES }>();
        if !rest.is_empty() {
            return Err(StoreError::Damaged("a posting ends within a place".into()));
        }
        Ok(places.iter().map(|place| Rank::from_bytes(*place)).collect())
    }
}

fn bytes_of(ranks: &[Rank]) -> Bytes {
    ranks.iter().flat_map(|rank| rank.to_bytes()).collect::<Vec<u8>>().into()
}

/// Posts sagas.
pub(crate) async fn post(transaction: &Transaction, sagas: &[&Posted]) -> Result<(), DatabaseError> {
    let mut spots: BTreeMap<Spot, Vec<Rank>> = BTreeMap::new();
    for (spot, rank) in sagas.iter().flat_map(|saga| saga.places()) {
        spots.entry(spot).or_default().push(rank);
    }
    let blocks: Vec<Value> = spots.into_iter().map(|(spot, ranks)| Block::new(spot, ranks).into_value()).collect();
    for chunk in blocks.chunks(CHUNK_BLOCKS) {
        let mut bindings = Variables::new();
        bindings.insert("blocks", Array::from(chunk.to_vec()).into_value());
        transaction.query_values("INSERT INTO posting $blocks RETURN NONE", bindings).await?;
    }
    Ok(())
}

/// Takes sagas out.
pub(crate) async fn withdraw(transaction: &Transaction, sagas: &[Posted]) -> Result<(), DatabaseError> {
    let mut spots: BTreeMap<Spot, BTreeSet<Rank>> = BTreeMap::new();
    for (spot, rank) in sagas.iter().flat_map(Posted::places) {
        spots.entry(spot).or_default().insert(rank);
    }
    for (spot, ranks) in spots {
        let statement = "SELECT id, places FROM posting:[$order, $key, $span]..[$order, $key, $span + 1]";
        let mut bindings = Variables::new();
        bindings.insert("order", spot.order);
        bindings.insert("key", spot.key);
        bindings.insert("span", spot.span);
        let blocks = transaction.query_values(statement, bindings).await?.take_values(0)?;
        for block in blocks {
            let Ok(block) = Block::from_value(block) else { continue };
            let Ok(there) = block.ranks() else { continue };
            let left: Vec<Rank> = there.iter().copied().filter(|rank| !ranks.contains(rank)).collect();
            if left.len() == there.len() {
                continue;
            }
            let mut bindings = Variables::new();
            bindings.insert("id", block.id);
            if left.is_empty() {
                transaction.query_values("DELETE $id RETURN NONE", bindings).await?;
            } else {
                bindings.insert("places", bytes_of(&left));
                transaction.query_values("UPDATE $id SET places = $places RETURN NONE", bindings).await?;
            }
        }
    }
    Ok(())
}

/// A walk along one list, in order.
#[derive(Debug)]
pub(crate) struct Walk {
    order: Order,
    key: String,
    /// Outside.
    from: String,
    /// Its span: in all others everything stands beyond it.
    first: i64,
    ahead: Ahead,
    /// What is known to come next.
    next: VecDeque<Rank>,
}

/// Which blocks are still to be read.
#[derive(Debug)]
enum Ahead {
    /// Those behind this one; of its span, places have been gathered.
    Behind { block: (i64, String), gathered: BTreeSet<Rank>, limit: usize },
    /// Those of earlier spans than `before`, the last `width` of them first.
    Before { before: i64, width: i64 },
    /// None.
    Nothing,
}

impl Walk {
    pub(crate) fn new(order: Order, key: String, from: String) -> Self {
        let span = match time_of_rank(&from) {
            Some(time) => span_of_time(time),
            // Before or after every rank.
            None if from.is_empty() => 0,
            None => SPAN_LAST,
        };
        let ahead = if order.forward {
            Ahead::Behind { block: (span, String::new()), gathered: BTreeSet::new(), limit: BLOCKS_FIRST }
        } else {
            Ahead::Before { before: span + 1, width: WIDTH_FIRST }
        };
        Self { order, key, from, first: span, ahead, next: VecDeque::new() }
    }

    /// The next places, `most` at most; none at the end only.
    pub(crate) async fn next(&mut self, snapshot: &Transaction, most: usize) -> Result<Vec<Rank>, StoreError> {
        while self.next.len() < most {
            self.ahead = match std::mem::replace(&mut self.ahead, Ahead::Nothing) {
                Ahead::Behind { block, gathered, limit } => self.read_behind(snapshot, block, gathered, limit).await?,
                Ahead::Before { before, width } => self.read_before(snapshot, before, width).await?,
                Ahead::Nothing => break,
            };
        }
        Ok(self.next.drain(..most.min(self.next.len())).collect())
    }

    async fn read_behind(
        &mut self,
        snapshot: &Transaction,
        mut block: (i64, String),
        mut gathered: BTreeSet<Rank>,
        limit: usize,
    ) -> Result<Ahead, StoreError> {
        let blocks = self.blocks(snapshot, &block, SPAN_LAST + 1, limit).await?;
        let ended = blocks.len() < limit;
        for read in blocks {
            let place = read.place()?;
            if place.0 != block.0 {
                self.next.extend(std::mem::take(&mut gathered));
            }
            gathered.extend(self.beyond(place.0, read.ranks()?));
            block = place;
        }
        if ended {
            self.next.extend(gathered);
            return Ok(Ahead::Nothing);
        }
        Ok(Ahead::Behind { block, gathered, limit: BLOCKS_MAX.min(limit * 4) })
    }

    /// SurrealDB walks along ids in one direction only: spans are looked through in windows that hold few blocks.
    async fn read_before(&mut self, snapshot: &Transaction, before: i64, width: i64) -> Result<Ahead, StoreError> {
        let from = (before - width).max(0);
        let mut blocks = self.blocks(snapshot, &(from, String::new()), before, BLOCKS_WINDOW).await?;
        let mut read = blocks.len();
        if read == BLOCKS_WINDOW && before - from > 1 {
            return Ok(Ahead::Before { before, width: (width / WIDTH_FACTOR).max(1) });
        }
        // A single span that holds more is read to its end.
        while read == BLOCKS_WINDOW
            && let Some(last) = blocks.last()
        {
            let more = self.blocks(snapshot, &last.place()?, before, BLOCKS_WINDOW).await?;
            read = more.len();
            blocks.extend(more);
        }
        let count = blocks.len();
        let mut places = BTreeSet::new();
        for block in blocks {
            places.extend(self.beyond(block.place()?.0, block.ranks()?));
        }
        self.next.extend(places.into_iter().rev());
        let few = count <= BLOCKS_WINDOW / 8;
        let width = if few { width.saturating_mul(WIDTH_FACTOR).min(SPAN_LAST) } else { width };
        Ok(match from {
            0 => Ahead::Nothing,
            before => Ahead::Before { before, width },
        })
    }

    /// Those of a block of this span that stand beyond where the walk began.
    fn beyond(&self, span: i64, ranks: Vec<Rank>) -> impl Iterator<Item = Rank> {
        let inside = move |rank: &Rank| span != self.first || self.order.before(&self.from, &rank.to_string());
        ranks.into_iter().filter(inside)
    }

    /// The first blocks behind one, in spans before another.
    async fn blocks(
        &self,
        snapshot: &Transaction,
        (span, name): &(i64, String),
        before: i64,
        limit: usize,
    ) -> Result<Vec<Block>, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("order", self.order.keys.to_owned());
        bindings.insert("key", self.key.clone());
        bindings.insert("span", *span);
        bindings.insert("name", name.clone());
        bindings.insert("before", before);
        bindings.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        let values = snapshot
            .query_values(BLOCKS, bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("listing completed sagas", &error))?;
        from_values("posting", values)
    }
}

/// One bounded walk along ids.
const BLOCKS: &str = "SELECT id, places FROM type::record('posting', [$order, $key, $span, $name]>..[$order, $key, $before]) LIMIT $limit";

#[cfg(test)]
mod tests {
    use amends_database::{Database, Location};
    use amends_schemas::search::SagaSort;
    use chrono::TimeDelta;

    use super::*;

    async fn database(folder: &tempfile::TempDir) -> Database {
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "test").await.unwrap();
        crate::schema::define(&database).await.unwrap();
        database
    }

    /// A page of a million sagas is as fast as one of ten only while this holds.
    #[tokio::test(flavor = "multi_thread")]
    async fn blocks_are_found_by_one_bounded_scan_of_ids() {
        let folder = tempfile::tempdir().unwrap();
        let explain = format!("EXPLAIN {BLOCKS}");
        let bindings = Variables::new();
        let plan = database(&folder).await.query_values(&explain, bindings).await.unwrap().take_values(0).unwrap();
        let [Value::String(plan)] = &plan[..] else { panic!("{plan:?}") };
        assert!(plan.contains("DynamicScan") && plan.contains("limit: $limit"), "{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{plan}");
    }

    fn posted(number: u128, at: DateTime<Utc>) -> Posted {
        Posted {
            saga_id: SagaId(Uuid::from_u128(number)),
            definition: "d".into(),
            version: 1,
            tags: vec![format!("n_{}", number % 3)],
            created_at: at,
            updated_at: at,
        }
    }

    async fn walked(database: &Database, sort: SagaSort, key: &str, from: &str, most: usize) -> Vec<SagaId> {
        let snapshot = database.begin().await.unwrap();
        let mut walk = Walk::new(Order::of(sort), key.to_owned(), from.to_owned());
        let mut found = Vec::new();
        loop {
            let next = walk.next(&snapshot, most).await.unwrap();
            assert!(next.len() <= most);
            if next.is_empty() {
                return found;
            }
            found.extend(next.into_iter().map(Rank::saga_id));
        }
    }

    /// In blocks of one to some dozen places, more blocks in one span than are read at once, spans next to each other and years apart.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_is_walked_in_both_directions_from_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        let began = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let gaps =
            [TimeDelta::microseconds(7), TimeDelta::milliseconds(90), TimeDelta::seconds(40), TimeDelta::days(900)];
        let mut at = began;
        let mut all = Vec::new();
        for number in 0..400_u128 {
            let gap =
                if number % 100 == 99 { 3 } else { usize::from(number % 10 == 9) + usize::from(number % 50 == 49) };
            at += gaps[if number < 90 { 0 } else { gap }];
            all.push(posted(number, at));
        }
        for chunk in all.chunks(3).rev() {
            let transaction = database.begin().await.unwrap();
            post(&transaction, &chunk.iter().collect::<Vec<_>>()).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let oldest: Vec<SagaId> = all.iter().map(|posted| posted.saga_id).collect();
        let newest: Vec<SagaId> = oldest.iter().rev().copied().collect();
        for (sort, expected) in [
            (SagaSort::OldestFirst, &oldest),
            (SagaSort::NewestFirst, &newest),
            (SagaSort::ChangedFirstFirst, &oldest),
            (SagaSort::ChangedLastFirst, &newest),
        ] {
            let start = if Order::of(sort).forward { "" } else { "g" };
            for most in [1, 50, 1_000] {
                assert_eq!(&walked(&database, sort, "*", start, most).await, expected, "{sort:?} {most}");
            }
            for (index, saga_id) in expected.iter().enumerate().step_by(97) {
                let posted = all.iter().find(|posted| posted.saga_id == *saga_id).unwrap();
                let from = Rank::new(posted.created_at, *saga_id).to_string();
                let rest = walked(&database, sort, "*", &from, 20).await;
                assert_eq!(rest, expected[index + 1..], "{sort:?} from {index}");
            }
        }
        let third: Vec<SagaId> = newest.iter().copied().filter(|id| id.uuid().as_u128() % 3 == 1).collect();
        assert_eq!(walked(&database, SagaSort::NewestFirst, "t/n_1", "", 20).await, third);
        assert!(walked(&database, SagaSort::NewestFirst, "t/n_9", "", 20).await.is_empty());
    }

    /// Twice the same, as after a commit of which the answer was lost, and then taken out: nothing is left.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_withdrawn_stands_in_no_block_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let all: Vec<Posted> = (0..40).map(|number| posted(number, at)).collect();
        let (going, staying) = all.split_at(25);
        for _ in 0..2 {
            let transaction = database.begin().await.unwrap();
            post(&transaction, &all.iter().collect::<Vec<_>>()).await.unwrap();
            transaction.commit().await.unwrap();
        }
        for (gone, left) in [(going, staying), (staying, &[])] {
            let transaction = database.begin().await.unwrap();
            withdraw(&transaction, gone).await.unwrap();
            transaction.commit().await.unwrap();
            let expected: Vec<SagaId> = left.iter().rev().map(|posted| posted.saga_id).collect();
            assert_eq!(walked(&database, SagaSort::NewestFirst, "*", "", 10).await, expected);
            assert_eq!(walked(&database, SagaSort::ChangedLastFirst, "d/d", "", 10).await, expected);
        }
        let blocks = "SELECT VALUE id FROM posting";
        let left = database.query_values(blocks, Variables::new()).await.unwrap().take_values(0).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn many_sagas_of_one_span_are_worth_posting() {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let id = |number| SagaId(Uuid::from_u128(number));
        let many = (0..8).map(|number| (id(number), at));
        let few = (8..15).map(|number| (id(number), at + TimeDelta::seconds(1)));
        let worth = worth_posting(few.chain(many));
        assert_eq!(worth, (0..8).map(id).collect());
    }
}
