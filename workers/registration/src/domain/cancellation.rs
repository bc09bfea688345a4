//! Cancelling a registration: what is asked, what is kept of it, and why it may be refused.

use amends_schemas::ids::SagaId;
use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::policy::Place;
use super::status::RegistrationStatus;
use super::terms::CancelOutcome;

/// How a registration was cancelled; kept, so that asking again is answered alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The saga that did it.
    pub by: SagaId,
    /// When.
    pub at: DateTime<Utc>,
    /// What must follow.
    pub outcome: CancelOutcome,
    /// What goes back.
    pub refund: Option<Money>,
    /// The place that became free.
    pub place: Option<Place>,
    /// What the person said.
    pub reason: Option<String>,
}

/// A request to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// The saga that carries it.
    pub by: SagaId,
    /// When it was asked for; the refund is measured from here.
    pub requested_at: DateTime<Utc>,
    /// When the event starts, as now planned.
    pub starts_at: DateTime<Utc>,
    /// What the person said.
    pub reason: Option<String>,
}

/// Why a registration cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCancellable {
    /// The saga that registers has not come to its end.
    #[error("the registration is not settled yet")]
    NotSettled,
    /// It is neither confirmed nor waitlisted.
    #[error("a {} registration cannot be cancelled", .0.as_str())]
    Over(RegistrationStatus),
}
