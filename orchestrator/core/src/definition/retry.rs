//! How often and how fast something is tried again, also where a definition does not say.

use std::time::Duration;

/// How often and how fast something is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least one.
    pub attempts: u32,
    /// Before the second try.
    pub backoff: Duration,
    /// Each wait is this much longer than the last.
    pub factor: f64,
    /// No wait is longer.
    pub max_backoff: Duration,
    /// Up to this share of a wait is taken off at random, so that many sagas do not come back at once; 0 to 1.
    pub jitter: f64,
    /// Only these error codes are tried again; empty means every error the worker calls retriable.
    pub only: Vec<String>,
}

/// How long one attempt may take when the definition does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries when the definition does not say: of a step before or at the pivot, where giving up makes amends.
pub const DEFAULT_ATTEMPTS: u32 = 10;

/// Tries when the definition does not say: of an undo, or of a step after the pivot, where giving up needs a person. With
/// the default backoff this is the better part of an hour.
pub const DEFAULT_ATTEMPTS_LASTING: u32 = 100;

/// The wait before the second try when the definition does not say.
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(200);

/// How much longer each wait is than the last when the definition does not say.
pub const DEFAULT_FACTOR: f64 = 2.0;

/// The longest wait when the definition does not say.
pub const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The share of a wait taken off at random when the definition does not say.
pub const DEFAULT_JITTER: f64 = 0.2;

impl RetryPolicy {
    /// What holds where the definition says nothing.
    pub const fn with_attempts(attempts: u32) -> Self {
        Self {
            attempts,
            backoff: DEFAULT_BACKOFF,
            factor: DEFAULT_FACTOR,
            max_backoff: DEFAULT_MAX_BACKOFF,
            jitter: DEFAULT_JITTER,
            only: Vec::new(),
        }
    }
}
