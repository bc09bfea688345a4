//! How long to wait before the next attempt: exponential, bounded, with jitter that is a pure function of who waits.

use std::time::Duration;

use amends_schemas::ids::SagaId;

use crate::definition::RetryPolicy;

/// The wait after attempt number `attempt` (from one) of a step has gone wrong. The jitter is drawn from the saga's id,
/// the step and the attempt, so that the same decision is made again in recovery and many sagas still spread.
pub fn backoff(policy: &RetryPolicy, saga_id: SagaId, step: usize, attempt: u32) -> Duration {
    // Past this exponent any factor above 1 has long met `max_backoff`; `powi` wants an i32.
    const EXPONENT_MAX: u32 = 1_000;
    let longest = policy.max_backoff.as_secs_f64();
    let exponent = attempt.saturating_sub(1).min(EXPONENT_MAX);
    let factor = policy.factor.max(1.0).powi(i32::try_from(exponent).unwrap_or(i32::MAX));
    let wait = (policy.backoff.as_secs_f64() * factor).min(longest);
    let kept = 1.0 - policy.jitter.clamp(0.0, 1.0) * draw(saga_id, step, attempt);
    Duration::try_from_secs_f64(wait * kept).unwrap_or(policy.max_backoff)
}

/// A number in `[0, 1)` that depends on nothing but its arguments (SplitMix64, Steele et al. 2014).
fn draw(saga_id: SagaId, step: usize, attempt: u32) -> f64 {
    let (high, low) = saga_id.uuid().as_u64_pair();
    let mut bits = high ^ low.rotate_left(32) ^ ((step as u64) << 32) ^ u64::from(attempt);
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // The top 53 bits are what an f64 holds exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(jitter: f64) -> RetryPolicy {
        RetryPolicy {
            attempts: 12,
            backoff: Duration::from_millis(200),
            factor: 2.0,
            max_backoff: Duration::from_secs(10),
            jitter,
            only: Vec::new(),
        }
    }

    fn saga(text: &str) -> SagaId {
        text.parse().expect("uuid")
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let id = saga("0193a1de-7d41-7cc1-9b5e-0242ac120002");
        let waits: Vec<u128> =
            [1, 2, 3, 6, 7, u32::MAX].map(|attempt| backoff(&policy(0.0), id, 0, attempt).as_millis()).to_vec();
        assert_eq!(waits, [200, 400, 800, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn jitter_takes_off_at_most_its_share_repeats_itself_and_spreads() {
        let (one, other) = (saga("0193a1de-7d41-7cc1-9b5e-0242ac120002"), saga("0193a1de-7d41-7cc1-9b5e-0242ac120003"));
        for attempt in 1..100 {
            let (full, less) = (backoff(&policy(0.0), one, 3, attempt), backoff(&policy(0.5), one, 3, attempt));
            assert!(less <= full && less >= full / 2, "attempt {attempt}: {less:?} of {full:?}");
            assert_eq!(less, backoff(&policy(0.5), one, 3, attempt));
        }
        assert_ne!(backoff(&policy(0.5), one, 3, 1), backoff(&policy(0.5), other, 3, 1));
        assert_ne!(backoff(&policy(0.5), one, 3, 1), backoff(&policy(0.5), one, 4, 1));
    }
}
