//! How often and how soon a handler runs again after a write conflict.

use std::time::Duration;

use uuid::Uuid;

/// How often a handler runs before conflicts are taken for trouble. With a pause that doubles, contenders for one record are spread over
/// more than a second by then; `serial_key` keeps those of one process from contending at all.
pub(crate) const CONFLICT_ATTEMPTS_MAX: u32 = 12;

/// The first pause; doubled up to [`PAUSE_MAX`]. About as long as a commit takes.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Waits before the next run; between half of the full pause and all of it, so that contenders part.
pub(crate) async fn pause_after_conflict(attempt: u32) {
    tokio::time::sleep(jittered(PAUSE_MIN.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX))).await;
}

/// Between half of it and all of it.
pub(crate) fn jittered(full: Duration) -> Duration {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    let half = full / 2;
    half + half.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}
