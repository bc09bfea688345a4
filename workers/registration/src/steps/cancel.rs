//! `registration.cancel@1`: marks a registration cancelled and frees its seat or place, in one transaction.

use amends_schemas::ids::RegistrationId;
use amends_schemas::money::Money;
use amends_sdk::{Failure, Step, StepContext, Success};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::wire::EventOutput;
use crate::domain::{Attendee, Cancellation, NotCancellable};
use crate::{events, repository};

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelInput {
    /// Which.
    pub registration_id: RegistrationId,
    /// When it was asked for; the refund is measured from here.
    pub requested_at: DateTime<Utc>,
    /// What the person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOutput {
    /// Which.
    pub registration_id: RegistrationId,
    /// The event.
    pub event: EventOutput,
    /// Who is to be told.
    pub attendee: Attendee,
    /// What goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Money>,
}

/// The step.
#[derive(Debug)]
pub struct Cancel;

impl Step for Cancel {
    const CONTRACT: &'static str = "registration.cancel@1";
    type Input = CancelInput;
    type Output = CancelOutput;

    /// The input does not say which event's policy will be written, so all cancellations of this process queue up: a few
    /// milliseconds each, and when an event is called off they would all meet at one policy anyway.
    fn serial_key(&self, _input: &CancelInput) -> Option<String> {
        Some("cancel".to_owned())
    }

    async fn execute(&self, context: &mut StepContext, input: CancelInput) -> Result<Success<CancelOutput>, Failure> {
        let now = context.work.now();
        let Some(mut registration) = repository::load(&mut context.work, input.registration_id).await? else {
            let message = format!("There is no registration {}.", input.registration_id);
            return Err(Failure::failed("registration_not_found", message));
        };
        let Some(mut policy) = repository::load_policy(&mut context.work, registration.event_id).await? else {
            return Err(Failure::bug("a registration for an event that was never known here"));
        };
        let cancellation = Cancellation {
            by: context.saga_id,
            requested_at: input.requested_at,
            starts_at: policy.event.starts_at,
            reason: input.reason,
        };
        let place = registration.place;
        let changed = registration.cancel(cancellation, now).map_err(|why| match why {
            NotCancellable::NotSettled => Failure::retry("not_settled", "The registration is not settled yet."),
            NotCancellable::Over(_) => Failure::failed("not_cancellable", format!("Not cancellable: {why}.")),
        })?;
        if changed {
            match place {
                Some(place) => {
                    policy.free(place);
                    repository::save_freed(&mut context.work, &policy, &registration, place).await?;
                }
                None => return Err(Failure::bug("an active registration without a place")),
            }
            if let Some(fact) = events::cancelled(&registration) {
                context.work.publish(fact);
            }
        }
        let cancelled =
            registration.cancelled.ok_or_else(|| Failure::bug("a cancelled registration that does not say how"))?;
        let output = CancelOutput {
            registration_id: registration.registration_id,
            event: EventOutput::of(&policy.event),
            attendee: registration.attendee,
            refund: cancelled.refund,
        };
        Ok(Success::with_outcome(cancelled.outcome.as_str(), output))
    }
}
