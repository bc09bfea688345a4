//! What was acknowledged survives the death of the process, also when the engine was about to begin a new file.
//!
//! The table in memory is small here, so that it is written out several times a second: that is when surrealkv 0.21 loses commits.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_database::{Database, ErrorKind, Location, Tuning};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Names the folder to the child that writes until it is killed.
const CHILD_FOLDER: &str = "AMENDS_TEST_CRASH_FOLDER";

/// A table that is full after some fifty of the transactions below.
const TUNING: Tuning = Tuning { memtable_bytes: 1024 * 1024, cache_bytes: 1024 * 1024 };

/// Reading ends within this, and a child that nobody kills.
const DEADLINE: Duration = Duration::from_secs(60);

/// Each kills one child.
const ROUNDS: usize = 12;

/// Tasks that write at once.
const WRITERS: u64 = 4;

/// Records that each of them writes in one transaction.
const RECORDS: u64 = 5;

#[test]
fn what_was_acknowledged_survives_kill_9_while_files_are_begun() -> Result<()> {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let writing = async { timeout(DEADLINE, write_until_killed(Path::new(&folder))).await.context("not killed")? };
        return runtime()?.block_on(writing);
    }
    // One for all rounds: a folder is closed in the background.
    let runtime = runtime()?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("db");
    let mut acknowledged = [0; WRITERS as usize];
    for round in 0..ROUNDS {
        // Some die while they still recover from the death before.
        let lines = if round % 3 == 2 { round } else { 150 + 37 * round };
        for (writer, number) in killed_after(&folder, lines)? {
            acknowledged[writer] = number;
        }
        let found = runtime.block_on(async { timeout(DEADLINE, read(&folder)).await.context("reading hangs")? })?;
        for (writer, (number, found)) in acknowledged.iter_mut().zip(found).enumerate() {
            assert!(found >= *number, "round {round}: writer {writer} was told {number}, and {found} are there");
            *number = found;
        }
    }
    let total: u64 = acknowledged.iter().sum();
    assert!(total > 1_000, "too little was written for files to be begun: {total}");
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Lets a child write, kills it after so many acknowledgements, and tells all of those it gave.
fn killed_after(folder: &Path, lines: usize) -> Result<Vec<(usize, u64)>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "what_was_acknowledged_survives_kill_9_while_files_are_begun", "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("it has an output")?);
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let line = line?;
        // What the test harness prints is none of ours, and the last line may be torn.
        let Some((writer, number)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let Some(number) = number.strip_suffix('.') else { continue };
        acknowledged.push((writer.parse()?, number.parse()?));
        if acknowledged.len() == lines + 1 {
            child.kill()?;
        }
    }
    child.wait()?;
    Ok(acknowledged)
}

async fn open(folder: &Path) -> Result<Database> {
    let database = Database::open_tuned(&Location::Embedded(folder.to_owned()), "amends", "test", TUNING).await?;
    database
        .query("DEFINE TABLE IF NOT EXISTS entry; DEFINE INDEX IF NOT EXISTS place ON entry FIELDS writer, number", ())
        .await?;
    Ok(database)
}

async fn write_until_killed(folder: &Path) -> Result<()> {
    let database = open(folder).await?;
    let counts = counts(&database).await?;
    let mut writers = tokio::task::JoinSet::new();
    for (writer, written) in (0..WRITERS).zip(counts) {
        let database = database.clone();
        writers.spawn(async move {
            for number in written + 1.. {
                write(&database, writer, number).await?;
                println!("acknowledged {writer} {number}.");
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

/// A few records at once, of up to five kilobytes each.
async fn write(database: &Database, writer: u64, number: u64) -> Result<()> {
    let transaction = database.begin().await?;
    for index in 0..RECORDS {
        let text = "x".repeat(usize::try_from(100 + 7_919 * (number + index) % 5_000)?);
        transaction
            .query(
                "CREATE type::record('entry', [$writer, $number, $index]) SET writer = $writer, number = $number, text = $text",
                json!({"writer": writer, "number": number, "index": index, "text": text}),
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// How many each writer has written, all of them whole.
async fn read(folder: &Path) -> Result<Vec<u64>> {
    let database = open(folder).await?;
    counts(&database).await
}

async fn counts(database: &Database) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for writer in 0..WRITERS {
        let ids: Vec<Value> = database
            .query(
                "SELECT id[1] AS number, id[2] AS index FROM entry:[$writer]..[$writer + 1]",
                json!({"writer": writer}),
            )
            .await?
            .take(0)?;
        for (place, id) in (0..).zip(&ids) {
            let expected = json!({"number": place / RECORDS + 1, "index": place % RECORDS});
            anyhow::ensure!(*id == expected, "writer {writer}: {expected} is missing, {id} is next");
        }
        let count = u64::try_from(ids.len())?;
        anyhow::ensure!(count.is_multiple_of(RECORDS), "writer {writer}: half a transaction is there");
        counts.push(count / RECORDS);
    }
    Ok(counts)
}

#[test]
fn a_transaction_that_no_table_takes_is_refused_and_stays_refused() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (folder, crashed) = (place.path().join("db"), place.path().join("crashed"));
    runtime()?.block_on(async {
        let database = open(&folder).await?;
        let large = json!({"text": "x".repeat(usize::try_from(TUNING.memtable_bytes)?)});
        let refused = database.query("CREATE entry:[9, 1, 0] SET text = $text", large).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Bug);
        // As a crash leaves it now: what is in the log comes back.
        for part in ["manifest", "sstables", "wal"] {
            std::fs::create_dir_all(crashed.join(part))?;
            for entry in std::fs::read_dir(folder.join(part))? {
                let entry = entry?;
                std::fs::copy(entry.path(), crashed.join(part).join(entry.file_name()))?;
            }
        }
        let entries: Vec<Value> = open(&crashed).await?.query("SELECT VALUE id[0] FROM entry", ()).await?.take(0)?;
        assert_eq!(entries, Vec::<Value>::new());
        Ok(())
    })
}
