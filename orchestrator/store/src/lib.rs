//! The journal, its view and the schedules in SurrealDB: implements [`amends_engine::ports::Store`] and
//! [`amends_engine::schedules::ScheduleStore`].
//!
//! | table | record id | what |
//! |---|---|---|
//! | `journal` | `[partition, position]` | one committed batch; its entries are one MessagePack blob. The only truth; `CREATE` on its id is the fence |
//! | `saga` | the saga's id | one row per saga as of the last projection, unless it stands in `completed`: columns to search by, the state as a blob |
//! | `completed` | the saga's id | the same for sagas that completed together: the columns that lists show, no index |
//! | `posting` | `[order, key, span, block]` | the places in lists of those of a quarter of a second, under one key: see `postings.rs` |
//! | `checkpoint` | the partition | the position up to which `saga` and `completed` hold everything |
//! | `parked` | `[partition, saga]` | positions before the checkpoint that no row contains: an owner could not read them |
//! | `tally` | `[partition, definition, status]` | how many rows of both are such, moved in the transaction that moves them |
//! | `view` | `main` | how far rows of earlier versions have been brought up to date |
//! | `schedule` | the schedule's name | one row per schedule: columns to find what is due, the rest as JSON text |
//! | `truncation`, `history`, `trimmed` | | what is past keeping goes: see `retain` |
//! | `bulk` | the bulk operation's id | one row each, changed by compare-and-set on `revision` |
//! | `deployment` | `main` | the number of partitions |
//!
//! A saga's row carries `keys`, one for each thing it can be found by (the table in `keys.rs`), and `rank`, which sorts newest first;
//! `turns` and `turn` are the same for the order of changes, with fewer keys. One index over each pair answers every list, every count
//! and the recovery by walking along it from a place on: a list picks the key that fewest sagas have, checks the rest of its filter on
//! what it finds, and stops after a bounded number of rows. It walks along the posting lists of the key as well, which are the same for rows that
//! stand in `completed`. Rows say with which `view` version they were written; those of an earlier
//! one are brought up to date in the background.
//!
//! Blobs say in which `format` they are written. A saga of which a row or an entry says what this version does not know (a fact, a field)
//! is handed over by name as unread and left alone; what cannot be taken apart at all is [`StoreError::Damaged`], never a guess.
//!
//! [`StoreError::Damaged`]: amends_engine::ports::StoreError::Damaged
//!
//! ```
//! use amends_database::{Database, Location};
//! use amends_engine::ports::Store;
//! use amends_schemas::ids::PartitionCount;
//! use amends_store::SurrealStore;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let database = Database::open(&Location::Embedded(folder.path().join("journal")), "amends", "journal").await?;
//! let store = SurrealStore::open(database).await?;
//! let eight = PartitionCount::new(8).unwrap();
//! assert_eq!(store.establish(None, eight).await?, eight);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod bulk;
mod codec;
mod commit;
mod completed;
mod count;
mod deployment;
mod journal;
mod keys;
mod known;
mod list;
mod listed;
mod park;
mod postings;
mod project;
mod question;
mod rank;
mod recover;
mod rekey;
mod retain;
mod rows;
mod scan;
mod schedules;
mod schema;
mod store;
mod tally;

pub use deployment::default_partition_count;
pub use store::SurrealStore;
