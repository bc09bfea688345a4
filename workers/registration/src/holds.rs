//! Holds that have run out: pinned while their saga lives, released when it does not.

use std::sync::Arc;
use std::time::Duration;

use amends_sdk::database::DatabaseError;
use amends_sdk::{Background, Failure, UnitOfWork};
use futures::future::join_all;

use crate::domain::{Reason, Registration};
use crate::liveness::SagaLiveness;
use crate::repository;
use crate::steps::release;

/// Holds looked at in one round: asked about at once, and written in one short transaction.
const BATCH: usize = 32;

/// For how long a hold is pinned before its saga is asked about again. Also after no answer, so that a silent partition
/// does not keep the others' holds from being looked at.
const PIN: Duration = Duration::from_secs(60);

/// Looks after holds that have run out.
#[derive(Debug)]
pub struct ExpireHolds {
    /// Who knows whether a saga lives.
    pub liveness: Arc<dyn SagaLiveness>,
}

impl Background for ExpireHolds {
    const NAME: &'static str = "expire-holds";
    const EVERY: Duration = Duration::from_secs(5);

    async fn tick(&self, work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
        // Asked outside the transaction, which then stays short; everything is read again within it.
        let expired = repository::expired_holds(work.database(), work.now(), BATCH).await?;
        let more = expired.len() == BATCH;
        let verdicts = join_all(expired.iter().map(|registration| self.may_be_used(registration))).await;
        for (registration, may_be_used) in expired.iter().zip(verdicts) {
            settle(work, registration, may_be_used).await?;
        }
        Ok(more)
    }
}

impl ExpireHolds {
    async fn may_be_used(&self, registration: &Registration) -> bool {
        match self.liveness.is_alive(registration.saga_id).await {
            Ok(alive) => alive,
            Err(unknown) => {
                // In doubt the seat stays held.
                tracing::warn!(saga.id = %registration.saga_id, error = %unknown, "an expired hold stays");
                true
            }
        }
    }
}

async fn settle(work: &mut UnitOfWork, seen: &Registration, may_be_used: bool) -> Result<(), DatabaseError> {
    let now = work.now();
    let Some(mut registration) = repository::load(work, seen.registration_id).await? else { return Ok(()) };
    if !registration.hold_has_expired(now) {
        return Ok(());
    }
    if may_be_used {
        registration.extend_hold(now + PIN);
        return repository::save(work, &registration).await;
    }
    match release(work, &mut registration, Reason::HoldExpired).await {
        Ok(()) => {
            tracing::info!(saga.id = %registration.saga_id, "a hold has expired; its seat is free");
            Ok(())
        }
        Err(Failure::Database(error)) => Err(error),
        Err(failure @ (Failure::Failed { .. } | Failure::Retry { .. } | Failure::Unknown { .. } | Failure::Bug(_))) => {
            tracing::error!(saga.id = %registration.saga_id, ?failure, "an expired hold could not be released");
            Ok(())
        }
    }
}
