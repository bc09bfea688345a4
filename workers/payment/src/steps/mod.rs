//! What sagas call.

mod capture;
mod refund;
mod settle;

use std::time::Duration;

use amends_sdk::{Failure, StepContext};

use crate::gateway::GatewayError;

pub use capture::{Capture, CaptureInput, CaptureOutput, PayerInput};
pub use refund::{Refund, RefundInput, RefundOutput};
pub(crate) use settle::{SettleError, settle};

/// Least time given to a call of the gateway: an attempt that is nearly, or already, over is made all the same, because its
/// answer still counts.
const CALL_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// What is kept of an attempt's time for our own commit and reply after the gateway's answer.
const REPLY_MARGIN: Duration = Duration::from_millis(500);

/// How long the gateway may take on behalf of this attempt.
fn call_timeout(context: &StepContext, configured: Duration) -> Duration {
    let left = (context.expires_at - context.work.now()).to_std().unwrap_or_default();
    left.saturating_sub(REPLY_MARGIN).min(configured).max(CALL_TIMEOUT_MIN)
}

/// What a call without an answer means: nobody knows, or we asked wrongly.
fn unclear(error: &GatewayError) -> Failure {
    match error {
        GatewayError::Unreachable(_) => {
            let message = "The payment gateway cannot be reached; an earlier call may have been done.";
            Failure::unknown("gateway_unreachable", message)
        }
        GatewayError::Unclear(_) => Failure::unknown("gateway_unclear", error.to_string()),
        GatewayError::Misused(_) => Failure::bug(error.to_string()),
    }
}
