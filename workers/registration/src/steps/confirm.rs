//! `registration.confirm@1`: makes the held seat a confirmed one.

use amends_schemas::ids::RegistrationId;
use amends_sdk::{Failure, Step, StepContext, Success};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{events, repository};

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmInput {
    /// Which.
    pub registration_id: RegistrationId,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOutput {
    /// Which.
    pub registration_id: RegistrationId,
    /// The seat.
    pub seat: u32,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<DateTime<Utc>>,
}

/// The step. It writes the registration only, not its event's policy (a held seat is taken already): confirmations of one event
/// do not wait for each other.
#[derive(Debug)]
pub struct Confirm;

impl Step for Confirm {
    const CONTRACT: &'static str = "registration.confirm@1";
    type Input = ConfirmInput;
    type Output = ConfirmOutput;

    async fn execute(&self, context: &mut StepContext, input: ConfirmInput) -> Result<Success<ConfirmOutput>, Failure> {
        let registration_id = input.registration_id;
        let now = context.work.now();
        // The hold is pinned while its saga lives, so there is always a seat to confirm. Were there none, money may have moved:
        // that is for a person to look at, not to be turned into a clean failure.
        let mut registration = repository::load(&mut context.work, registration_id)
            .await?
            .ok_or_else(|| Failure::bug("a registration to confirm that was never reserved"))?;
        let changed = registration.confirm(now).map_err(|impossible| Failure::bug(impossible.to_string()))?;
        let seat = registration.seat().ok_or_else(|| Failure::bug("a confirmed registration without a seat"))?;
        if changed {
            repository::save(&mut context.work, &registration).await?;
            context.work.publish(events::confirmed(&registration));
        }
        Ok(Success::new(ConfirmOutput { registration_id, seat, confirmed_at: registration.confirmed_at }))
    }
}
