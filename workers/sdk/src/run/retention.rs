//! Forgets what need not be remembered any longer, a little at a time.

use std::time::Duration;

use amends_database::DatabaseError;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::condition::Condition;
use crate::inbox::{self, SweptTable};
use crate::outbox;
use crate::scope::Scope;

/// Between two batches. With [`BATCH`] nine million rows a day are looked at, at a cost that nobody notices.
const EVERY: Duration = Duration::from_secs(10);

/// Rows looked at in one batch.
const BATCH: usize = 1000;

/// Runs until shutdown.
pub(super) async fn run(scope: Scope, shutdown: CancellationToken) {
    let mut condition = Condition::new(format!("retention of {}", scope.context));
    let tables = [SweptTable::Inbox, SweptTable::DeadLetter, SweptTable::Suspect];
    let mut walks = tables.map(|table| (table, String::new()));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match forget(&scope, &mut walks).await {
            Ok(()) => condition.well(),
            Err(error) => condition.ill(&error.to_string()),
        }
    }
}

async fn forget(scope: &Scope, walks: &mut [(SweptTable, String)]) -> Result<(), DatabaseError> {
    let now = Utc::now();
    for (table, after) in walks {
        *after = inbox::sweep(&scope.database, *table, after, BATCH, now).await?.unwrap_or_default();
    }
    outbox::delete_old(&scope.database, BATCH, now).await.map(drop)
}
