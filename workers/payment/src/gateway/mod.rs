//! The port to payment gateways, and its adapters.

mod answer;
mod port;
mod signature;
mod test_gateway;

pub use port::{
    CaptureRequest, GatewayError, GatewayEvent, Lookup, PaymentGateway, PaymentToken, RefundAnswer, RefundRequest,
    VoidAnswer, WebhookError,
};
pub use signature::{SIGNATURE_AGE_MAX, verify};
pub use test_gateway::{ClientError, NAME, TestGatewayClient};
