//! Waiting for something to become true, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between looks.
const POLL: Duration = Duration::from_millis(10);

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When `deadline` passes first, naming `what` was awaited.
pub async fn until<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain for {what}");
        sleep(POLL).await;
    }
}
