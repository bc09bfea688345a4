//! Marks events over once their end has passed.

use std::time::Duration;

use amends_sdk::database::DatabaseError;
use amends_sdk::{Background, UnitOfWork};

use crate::domain::Changed;
use crate::{events, repository};

/// Events ended in one transaction: a few milliseconds' work, so that it seldom collides with an organiser's change.
const BATCH: usize = 50;

/// Looks for events that are over.
#[derive(Debug)]
pub struct EndEvents;

impl Background for EndEvents {
    const NAME: &'static str = "end-events";
    const EVERY: Duration = Duration::from_secs(30);

    async fn tick(&self, work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
        let now = work.now();
        let due = repository::overdue(work, now, BATCH).await?;
        let full = due.len() == BATCH;
        for known in due {
            let mut event = known.stored.event;
            match event.end(now) {
                Changed::No => {}
                Changed::Yes => {
                    repository::save(work, &event, &known.stored.created_from, known.seats_sold).await?;
                    events::publish(work, events::EVENT_UPDATED, &event);
                }
            }
        }
        Ok(full)
    }
}
