//! Signatures of webhooks: HMAC-SHA256 over `<unix seconds>.<body>` in a header `t=<seconds>,v1=<hex>[,v1=…]`, as Stripe
//! defines them and the test gateway follows.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::port::WebhookError;

/// How far the signature's time may be from ours: bounds for how long a recorded webhook can be played again. Stripe's own value.
pub const SIGNATURE_AGE_MAX: TimeDelta = TimeDelta::minutes(5);

/// Most signatures tried in one header: gateways send two while a secret is being changed.
const SIGNATURES_MAX: usize = 4;

/// Verifies a header over a body, in constant time.
///
/// # Errors
/// [`WebhookError::Forged`], whatever is wrong: a forger learns nothing from telling mistakes apart.
pub fn verify(secret: &str, header: &str, body: &str, now: DateTime<Utc>) -> Result<(), WebhookError> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let time = parts().find(|(name, _)| *name == "t").map(|(_, value)| value);
    let sent_at = time.and_then(|text| text.parse().ok()).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let (Some(time), Some(sent_at)) = (time, sent_at) else {
        return Err(WebhookError::Forged("The webhook is not signed."));
    };
    if (now - sent_at).abs() > SIGNATURE_AGE_MAX {
        return Err(WebhookError::Forged("The webhook was signed too long ago."));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let genuine = parts()
        .filter(|(name, _)| *name == "v1")
        .take(SIGNATURES_MAX)
        .filter_map(|(_, value)| hex::decode(value).ok())
        .any(|signature| mac.clone().verify_slice(&signature).is_ok());
    if genuine { Ok(()) } else { Err(WebhookError::Forged("The webhook's signature is wrong.")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_test_gateway::signature::sign;

    const SECRET: &str = "whsec";

    fn check(header: &str, body: &str) -> Result<(), WebhookError> {
        verify(SECRET, header, body, DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    #[test]
    fn genuine_ones_pass() {
        let header = sign(SECRET, 1_700_000_000, "{}");
        assert_eq!(check(&header, "{}"), Ok(()));
        assert_eq!(check(&sign(SECRET, 1_700_000_000 - 300, "{}"), "{}"), Ok(()));
        let (time, signature) = header.split_once(',').unwrap();
        assert_eq!(check(&format!("{time},v1=00ff,{signature}"), "{}"), Ok(()));
    }

    #[test]
    fn others_do_not() {
        let header = sign(SECRET, 1_700_000_000, "{}");
        for forged in [
            "",
            "t=1700000000",
            "t=1700000000,v1=",
            "t=1700000000,v1=zz",
            "v1=00",
            "t=soon,v1=00",
            &sign("other", 1_700_000_000, "{}"),
            &sign(SECRET, 1_700_000_000 - 301, "{}"),
            &sign(SECRET, 1_700_000_000 + 301, "{}"),
            &header.replace("t=1700000000", "t=1700000001"),
            &header[..header.len() - 2],
        ] {
            assert!(matches!(check(forged, "{}"), Err(WebhookError::Forged(_))), "{forged}");
        }
        assert!(matches!(check(&header, "{ }"), Err(WebhookError::Forged(_))));
    }
}
