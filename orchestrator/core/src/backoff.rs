//! How long to wait before the next attempt: exponential, bounded, with jitter that is a pure function of who waits.

use std::time::Duration;

use amends_schemas::ids::SagaId;

use crate::definition::RetryPolicy;

/// The wait after attempt number `attempt` (from one) of a step has gone wrong. The jitter is drawn from the saga's id,
/// the step and the attempt, so that the same decision is made again in recovery and many sagas still spread.
pub fn backoff(_policy: &RetryPolicy, _saga_id: SagaId, _step: usize, _attempt: u32) -> Duration {
    unimplemented!()
}
