//! How webhooks are signed: HMAC-SHA256 over `<unix seconds>.<body>`, as Stripe does it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that carries the signature: `t=<unix seconds>,v1=<hex>`.
pub const HEADER: &str = "test-gateway-signature";

/// The header's value for `body` sent at `unix_seconds`.
///
/// ```
/// let value = amends_test_gateway::signature::sign("secret", 1_700_000_000, "{}");
/// assert!(value.starts_with("t=1700000000,v1="));
/// ```
pub fn sign(secret: &str, unix_seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{unix_seconds}.{body}").as_bytes());
    format!("t={unix_seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}
