//! A writer that is killed has lost nothing it was told is written.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use amends_engine::ports::Store;
use amends_schemas::ids::PartitionId;
use anyhow::{Context, Result};
use common::{check, record, saga, store_in};

use amends_schemas::saga::SagaStatus;

/// This one needs the folder itself.
const REMOTE: bool = false;

/// Names the folder to the child.
const CHILD_FOLDER: &str = "AMENDS_TEST_CHILD_FOLDER";

/// After how many acknowledged records each child is killed.
const KILL_AFTER: [usize; 4] = [1, 17, 160, 403];

const P: PartitionId = PartitionId(0);

/// Appends for ever, printing each position that was acknowledged, and projects now and then.
async fn write_until_killed(folder: &Path) -> Result<()> {
    let store = store_in(folder).await?;
    let recovered = store.recover(P).await?;
    let epoch = recovered.last_epoch + 1;
    for position in recovered.last_position + 1.. {
        store.append(&record(0, position, epoch, "child")).await?;
        println!("acknowledged {position}");
        if position % 50 == 0 {
            let sagas = [saga(u128::from(position), SagaStatus::Running, "registration", &[])];
            store.project(P, epoch, position - 5, &sagas).await?;
        }
    }
    Ok(())
}

/// Starts a child, kills it after some acknowledged records, and answers the last of them.
fn kill_a_writer(folder: &PathBuf, after: usize) -> Result<u64> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "every_acknowledged_record_survives_kill_9", "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("piped above")?);
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let line = line?;
        if let Some(position) = line.strip_prefix("acknowledged ") {
            acknowledged.push(position.parse::<u64>()?);
        }
        if acknowledged.len() == after {
            // SIGKILL; what it prints until then still counts as acknowledged.
            child.kill()?;
        }
    }
    child.wait()?;
    acknowledged.last().copied().context("the child wrote nothing")
}

#[test]
fn every_acknowledged_record_survives_kill_9() -> Result<()> {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return check(|_| async move { write_until_killed(Path::new(&folder)).await });
    }
    check(|place| async move {
        let path = place.folder.path().to_owned();
        let mut records = 0;
        for (round, after) in KILL_AFTER.into_iter().enumerate() {
            let for_child = path.clone();
            let last = tokio::task::spawn_blocking(move || kill_a_writer(&for_child, after)).await??;
            let store = store_in(&path).await?;
            // Recovery itself refuses a gap.
            let recovered = store.recover(P).await?;
            assert!(recovered.last_position >= last, "{last} was acknowledged, {} is there", recovered.last_position);
            assert!(recovered.last_position <= last + 1, "at most the one that was being written");
            assert_eq!(recovered.last_epoch, u64::try_from(round)? + 1);
            let positions: Vec<u64> = (1..=recovered.last_position).collect();
            let all = store.records(P, &positions).await?;
            assert_eq!(all.len(), positions.len());
            for found in &all {
                assert_eq!(found.entries, record(0, found.position, 0, "").entries);
            }
            records = all.len();
        }
        assert!(records >= KILL_AFTER.iter().sum());
        Ok(())
    })
}
