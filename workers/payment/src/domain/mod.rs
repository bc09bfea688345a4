//! The payment intent and its rules. No IO, no clock.

mod intent;
mod refund;
mod values;

pub use intent::{Change, IntentError, NewIntent, PaymentIntent, Status};
pub use refund::{RefundError, RefundProgress};
pub use values::{Charge, DeclineCode, GatewayPayment, GatewayRefund, GatewayState, Payer, PaymentMethod, Refund};
