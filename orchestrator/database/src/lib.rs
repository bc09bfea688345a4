//! SurrealDB behind one small door: opened embedded or remote by URL, every commit on disk before it counts, errors told
//! apart by what a caller can do.
//!
//! Values cross as JSON through serde, so that repositories hold nothing but SurrealQL and their own types.
//!
//! # How a repository speaks to it
//!
//! ```
//! use amends_database::{Database, ErrorKind, Location};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Seat {
//!     id: String,
//!     holder: Option<String>,
//!     held_until: String,
//!     price: serde_json::Value,
//! }
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let database = Database::open(&Location::Embedded(folder.path().join("seats")), "amends", "seats").await?;
//! database.query("DEFINE TABLE IF NOT EXISTS seat; DEFINE INDEX IF NOT EXISTS holder ON seat FIELDS holder", ()).await?;
//!
//! // Ids: a string inside the record id. `CONTENT` may hold the id too; the record id of the statement wins.
//! let seat = Seat {
//!     id: "a-1".into(),
//!     holder: None,
//!     held_until: "2026-11-21T03:20:00.000Z".into(),
//!     price: json!({"amount": "120.00", "currency": "EUR"}),
//! };
//! let transaction = database.begin().await?;
//! transaction
//!     .query("CREATE type::record('seat', $id) CONTENT $seat", json!({"id": seat.id, "seat": seat}))
//!     .await?;
//! transaction.commit().await?;
//!
//! // Reading: `record::id(id) AS id` gives back the bare string.
//! let read = database
//!     .query("SELECT *, record::id(id) AS id FROM type::record('seat', $id)", json!({"id": "a-1"}))
//!     .await?
//!     .take_first::<Seat>(0)?;
//! assert_eq!(read, Some(seat));
//!
//! // Creating it again is told apart from everything else.
//! let again = database.query("CREATE type::record('seat', $id) SET holder = 'x'", json!({"id": "a-1"})).await;
//! assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # How values map
//!
//! | Rust or JSON | in the database | back |
//! |---|---|---|
//! | `Option::None`, `null` | `NULL` (a field that is skipped by serde stays `NONE`) | `NULL` and `NONE` are both `null` |
//! | integers up to `i64::MAX` | `int`; larger ones are refused, never rounded | number |
//! | `f64` | `float` | number |
//! | strings, `DateTime<Utc>`, UUIDs, decimals by serde | `string`; text order of RFC 3339 UTC with a fixed number of digits is time order | string |
//! | money `{"amount": "120.00", "currency": "EUR"}` | an object of strings, exact | the same |
//! | – | `datetime` (`<datetime> $at`, `time::now()`) | RFC 3339 string in UTC |
//! | – | `decimal` (`<decimal> $amount`) | string, without trailing zeros: not for money |
//! | – | record id (`id` without `record::id`) | SurrealQL text such as ``seat:`a-1` ``: avoid it |
//! | – | `bytes` | array of numbers: use [`Database::query_values`] for bytes |
//!
//! A field defined as `TYPE option<string>` takes `NONE` but refuses `NULL`: define `option<string | null>`, or skip the field.
//!
//! # What a transaction protects
//!
//! A transaction reads a snapshot and is checked when it commits. Two that write the same record, or the same value of a
//! unique index, cannot both commit: the second is a [`Conflict`](ErrorKind::Conflict). What a transaction only *reads* is **not**
//! checked (write skew is possible), so a decision that rests on a record either reads it with `SELECT … FOR UPDATE`, which takes
//! record ids only and guards against others that write it, or writes it as well (`UPDATE … SET version += 1`), which also guards
//! against others that decide upon it in the same way.
//!
//! # What a range costs
//!
//! `SELECT … FROM type::record('entry', [$a]..[$b]) LIMIT 10` reads ten records. The same range written out, ``entry:[$a]..[$b]``, or given as a
//! parameter, is read to its end first and then cut (SurrealDB 3.3), and a range is walked forward only: `ORDER BY id DESC` sorts all of it.
//!
//! # Tables
//!
//! Define every table before it is used: the first write to an undefined table defines it, and two transactions that do so conflict.

mod client;
mod connection;
mod engine;
mod error;
mod handle;
mod location;
mod rows;
mod transaction;
mod value;

pub use connection::ANSWER_TIMEOUT;
pub use engine::Tuning;
pub use error::{DatabaseError, ErrorKind};
pub use handle::{Database, LOCK_WAIT, OPEN_TIMEOUT, PING_TIMEOUT};
pub use location::Location;
pub use rows::Rows;
pub use transaction::Transaction;
pub use value::bind_records;
