//! What was let go is given back: the folder of an embedded database stops growing while a load goes on and the journal is truncated.

mod common;

use std::path::Path;

use amends_core::event::{Event, Fact};
use amends_database::{Database, Location, Tuning};
use amends_engine::ports::{JournalEntry, JournalRecord, Store};
use amends_engine::retention::{Cut, Retain};
use amends_schemas::ids::PartitionId;
use amends_schemas::saga::SagaStatus;
use amends_store::SurrealStore;
use anyhow::Result;
use common::{at, id, record, saga};
use serde_json::json;

/// A server's space is the server's.
const REMOTE: bool = false;

const P: PartitionId = PartitionId(3);

/// Small, so that little has to be written: the engine may let 32 tables of this size wait to be merged before it holds writers back.
const TUNING: Tuning = Tuning { memtable_bytes: 1024 * 1024, cache_bytes: 1024 * 1024 };

/// Of one record.
const RECORD_BYTES: usize = 128 * 1024;

/// Records of one slab: the journal never holds more than two slabs of them.
const SLAB: u64 = 16;

/// How often a slab is written and the one before taken out.
const ROUNDS: u64 = 64;

/// A record that holds one large fact of a settled saga, unlike any other's and so mixed (Knuth's MMIX generator) that it cannot be packed.
fn large(position: u64) -> JournalRecord {
    let mut state = position;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    let word: String = (0..RECORD_BYTES / 8).map(|_| next()).collect();
    let output = json!({"word": word});
    let fact = Fact::SagaCompleted { output };
    let entries = vec![JournalEntry { saga_id: id(u128::from(position)), events: vec![Event { at: at(1), fact }] }];
    JournalRecord { entries, ..record(3, position, 1, "a") }
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Gone between the two looks.
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_stops_growing_while_a_load_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let location = Location::Embedded(folder.path().join("journal"));
    let store = SurrealStore::open(Database::open_tuned(&location, "amends", "journal", TUNING).await?).await?;
    // One large value that stays all the while: with value logs it would keep all that is written after it.
    let mut long = saga(7_000_000, SagaStatus::Running, "slow", &[]);
    long.state.input = json!({"word": "x".repeat(200_000)});
    store.project(P, 1, 0, std::slice::from_ref(&long)).await?;
    let (mut peak, mut truncated) = (0, 0);
    for round in 1..=ROUNDS {
        for position in (round - 1) * SLAB + 1..=round * SLAB {
            store.append(&large(position)).await?;
        }
        let upto = round * SLAB;
        store.project(P, 1, upto, &[]).await?;
        let gone: Vec<_> = (truncated + 1..upto).map(|position| id(u128::from(position))).collect();
        store.truncate(P, 1, Cut { from: truncated + 1, upto: upto - 1, dropped: &[], gone: &gone }).await?;
        truncated = upto - 1;
        peak = peak.max(size_of(folder.path()));
    }
    let written = ROUNDS * SLAB * RECORD_BYTES as u64;
    println!("{} MiB written, {} MiB at most on disk", written >> 20, peak >> 20);
    assert!(peak < written / 2, "{peak} bytes on disk at most, {written} written");
    assert_eq!(store.load(id(7_000_000)).await?, Some(long));
    assert_eq!(store.recover(P).await?.last_position, ROUNDS * SLAB);
    Ok(())
}
