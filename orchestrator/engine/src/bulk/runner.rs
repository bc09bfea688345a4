//! Goes on with every bulk operation that is to go on, while this process owns the partition of chores.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::BulkId;
use async_trait::async_trait;

use super::course::{Course, Lost};
use super::ports::{BulkRecord, BulkStore, Operators};
use crate::chore::Chore;
use crate::engine::AbortOnDrop;
use crate::ports::Store;

/// Operations that go on at once, each at its own rate; later ones wait for a place. Enough that a slow one holds up nobody, few enough
/// that all of them together leave room for new sagas.
const AT_ONCE_MAX: usize = 4;

/// How often new ones are looked for: nobody waits longer for the first saga.
const POLL: Duration = Duration::from_millis(500);

/// Carries bulk operations out.
pub struct BulkRunner {
    /// What filters search.
    pub store: Arc<dyn Store>,
    /// Where operations are kept.
    pub bulks: Arc<dyn BulkStore>,
    /// Who operates sagas.
    pub operators: Arc<dyn Operators>,
}

#[async_trait]
impl Chore for BulkRunner {
    fn name(&self) -> &'static str {
        "bulk"
    }

    async fn run(&self) {
        let mut under_way: HashMap<BulkId, AbortOnDrop<()>> = HashMap::new();
        loop {
            under_way.retain(|_, course| !course.0.is_finished());
            match self.bulks.running_bulk(AT_ONCE_MAX).await {
                Ok(records) => {
                    for record in records {
                        let bulk_id = record.operation.bulk_id;
                        if under_way.len() < AT_ONCE_MAX && !under_way.contains_key(&bulk_id) {
                            under_way.insert(bulk_id, self.go_on_with(record));
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "bulk operations cannot be looked for"),
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl BulkRunner {
    fn go_on_with(&self, record: BulkRecord) -> AbortOnDrop<()> {
        let bulk_id = record.operation.bulk_id;
        let course = Course {
            store: Arc::clone(&self.store),
            bulks: Arc::clone(&self.bulks),
            operators: Arc::clone(&self.operators),
            record,
        };
        AbortOnDrop(tokio::spawn(async move {
            match course.run().await {
                Ok(operation) => {
                    let (status, done, refused) = (operation.status.as_str(), operation.done, operation.refused);
                    tracing::info!(bulk.id = %bulk_id, status, done, refused, "a bulk operation came to rest");
                }
                // It is taken up again with the next look, from what was written last.
                Err(Lost::Store(error)) => tracing::warn!(bulk.id = %bulk_id, %error, "a bulk operation is held up"),
                Err(Lost::Elsewhere) => tracing::info!(bulk.id = %bulk_id, "a bulk operation goes on elsewhere"),
            }
        }))
    }
}
