//! Taking in what the gateway says of a payment: the one place where an intent changes by it.

use amends_sdk::database::DatabaseError;
use amends_sdk::{Failure, UnitOfWork};

use crate::domain::{Change, GatewayPayment, IntentError, PaymentIntent, Status};
use crate::repository;

/// Why a report was not taken in.
#[derive(Debug)]
pub(crate) enum SettleError {
    /// It contradicts what we asked for; nothing is changed.
    Intent(IntentError),
    /// The database.
    Database(DatabaseError),
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Intent(error) => Failure::bug(error.to_string()),
            SettleError::Database(error) => Failure::Database(error),
        }
    }
}

/// Records what was `seen`, in the unit of work, and publishes what follows. Repeats and late reports change nothing.
pub(crate) async fn settle(
    work: &mut UnitOfWork,
    intent: &mut PaymentIntent,
    seen: &GatewayPayment,
) -> Result<Change, SettleError> {
    let before = intent.status;
    let now = work.now();
    let change = intent.observe(seen, now).map_err(SettleError::Intent)?;
    if change == Change::None {
        return Ok(change);
    }
    if change == Change::Captured && matches!(before, Status::Declined | Status::Voided) {
        // The money has moved after we had told the saga that it would not. Truth comes first; a person has to look.
        tracing::error!(payment_id = %intent.payment_id, "captured after it was given up");
    }
    repository::save(work, intent).await.map_err(SettleError::Database)?;
    if let Some(event) = crate::events::of_change(intent, change) {
        work.publish(event);
    }
    Ok(change)
}
