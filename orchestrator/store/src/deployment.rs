//! The number of partitions, fixed when a deployment first starts.

use amends_database::{Database, ErrorKind};
use amends_engine::ports::StoreError;
use amends_schemas::ids::PartitionCount;
use surrealdb::types::Variables;

use crate::store::unavailable;

/// How often several first starters at once may get in each other's way.
const ESTABLISH_ATTEMPTS_MAX: usize = 10;

/// Partitions over a server: enough for a few orchestrators to share, few enough for one to run all.
const SHARED: u16 = 8;

/// Cores of this machine for each partition of an embedded database: the broker, the database and the workers need the others. One process
/// owns all partitions there, and more of them than it can run at once only make each batch smaller: on two cores one partition carries
/// a third more than two, and half as much again as eight.
const CORES_EACH: usize = 2;

/// Partitions of a new deployment that does not say: over a SurrealDB server eight, over an embedded database one for every two cores of this
/// machine, eight at most.
pub fn default_partition_count(embedded: bool) -> PartitionCount {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = if embedded { (cores / CORES_EACH).clamp(1, usize::from(SHARED)) } else { SHARED.into() };
    u16::try_from(count).ok().and_then(PartitionCount::new).expect("in range")
}

/// Reads the number, or fixes it.
pub(crate) async fn establish(
    database: &Database,
    requested: Option<PartitionCount>,
    default: PartitionCount,
) -> Result<PartitionCount, StoreError> {
    for _ in 0..ESTABLISH_ATTEMPTS_MAX {
        if let Some(stored) = stored(database).await? {
            return match requested {
                Some(requested) if requested != stored => {
                    Err(StoreError::PartitionCount { stored: stored.get(), requested: requested.get() })
                }
                Some(_) | None => Ok(stored),
            };
        }
        let chosen = requested.unwrap_or(default);
        let mut bindings = Variables::new();
        bindings.insert("partition_count", i64::from(chosen.get()));
        let created = database
            .query_values(
                "CREATE deployment:main SET partition_count = $partition_count, created_at = time::now()",
                bindings,
            )
            .await;
        match created {
            Ok(_) => return Ok(chosen),
            // Another process was first: see what it chose.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict) => {}
            Err(error) => return Err(unavailable("fixing the number of partitions", &error)),
        }
    }
    Err(StoreError::Unavailable("several processes fix the number of partitions at once".into()))
}

async fn stored(database: &Database) -> Result<Option<PartitionCount>, StoreError> {
    let doing = "reading the number of partitions";
    let stored: Option<u16> = database
        .query("SELECT VALUE partition_count FROM deployment:main", ())
        .await
        .and_then(|mut rows| rows.take_first(0))
        .map_err(|error| unavailable(doing, &error))?;
    stored
        .map(|count| {
            PartitionCount::new(count)
                .ok_or_else(|| StoreError::Damaged(format!("it claims to have {count} partitions")))
        })
        .transpose()
}
