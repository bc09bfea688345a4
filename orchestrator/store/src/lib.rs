//! The journal and its view in SurrealDB: implements [`amends_engine::ports::Store`].
//!
//! | table | record id | what |
//! |---|---|---|
//! | `journal` | `[partition, position]` | one committed batch; its entries are one MessagePack blob. The only truth; `CREATE` on its id is the fence |
//! | `saga` | the saga's id | one row per saga as of the last projection: columns to search by, the state as a blob |
//! | `checkpoint` | the partition | the position up to which `saga` holds everything |
//! | `parked` | `[partition, saga]` | positions before the checkpoint that no row contains: an owner could not read them |
//! | `deployment` | `main` | the number of partitions |
//!
//! A saga's row carries `keys`, one for each question that lists ask (`*`, `s/<status>`, `d/<definition>`, `sd/…`, `t/<tag>`, `st/…`, and
//! `u/<partition>` while it is unsettled), and `rank`, which sorts newest first. One index over both answers every list and the
//! recovery with a bounded scan, however many sagas there are.
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

mod codec;
mod deployment;
mod journal;
mod list;
mod park;
mod project;
mod recover;
mod rows;
mod schema;
mod store;

pub use store::SurrealStore;
