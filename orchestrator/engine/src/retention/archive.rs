//! Histories as files: JSON Lines, one saga a line, on disk before anything is dropped.
//!
//! A file is named after what it is made of, and written under another name first: whoever repeats a slab after a crash puts the same
//! file in the place of the old one, and nobody ever reads half of one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use amends_core::definition::Definition;
use amends_core::event::Event;
use amends_core::state::SagaState;
use amends_core::view::history_entry;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{HistoryEntry, SagaStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// One saga, as people read it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    saga_id: SagaId,
    definition: String,
    hash: &'a str,
    status: SagaStatus,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    tags: Vec<&'a str>,
    history: Vec<HistoryEntry>,
}

/// A line of an archive. The sequence begins later than one when earlier facts have been dropped before.
pub(super) fn line(definition: &Definition, state: &SagaState, events: &[Event]) -> serde_json::Result<Vec<u8>> {
    let missing = state.event_count.saturating_sub(events.len() as u64);
    let history = (missing + 1..).zip(events).map(|(sequence, event)| history_entry(definition, sequence, event));
    let mut line = serde_json::to_vec(&Line {
        saga_id: state.saga_id,
        definition: state.definition.to_string(),
        hash: &state.definition.hash,
        status: state.status,
        created_at: state.created_at,
        updated_at: state.updated_at,
        tags: state.tags.iter().map(String::as_str).collect(),
        history: history.collect(),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// The file of a slab. Whoever repeats it after a crash begins at the same position.
pub(super) fn slab_file(folder: &Path, partition: PartitionId, from: u64) -> PathBuf {
    folder.join(format!("p{:03}-{from:020}.jsonl", partition.0))
}

/// The file of sagas whose facts had been moved, after the first of them.
pub(super) fn kept_file(folder: &Path, partition: PartitionId, first: SagaId) -> PathBuf {
    folder.join(format!("p{:03}-kept-{first}.jsonl", partition.0))
}

/// Writes a file, fsynced with its name when this returns, in the place of one that a crash has left.
pub(super) async fn write(file: PathBuf, lines: Vec<Vec<u8>>) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || write_now(&file, &lines)).await;
    written.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn write_now(file: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("an archive file stands in a folder"))?;
    std::fs::create_dir_all(folder)?;
    let unfinished = file.with_extension("unfinished");
    let mut written = io::BufWriter::new(std::fs::File::create(&unfinished)?);
    for line in lines {
        written.write_all(line)?;
    }
    written.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    std::fs::File::open(folder)?.sync_all()
}
