//! Waiting for something to become true, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between looks.
const POLL: Duration = Duration::from_millis(20);

/// The end of somebody's patience.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    patience: Duration,
    end: Instant,
}

impl Deadline {
    /// So long from now.
    pub fn after(patience: Duration) -> Self {
        Self { patience, end: Instant::now() + patience }
    }

    /// Waits a moment before the next look.
    ///
    /// # Panics
    /// When the deadline has passed, naming `what` was awaited.
    pub async fn pause(&mut self, what: &str) {
        assert!(Instant::now() < self.end, "waited {:?} in vain for {what}", self.patience);
        sleep(POLL).await;
    }
}

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When `deadline` passes first, naming `what` was awaited.
pub async fn until<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut deadline = Deadline::after(deadline);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        deadline.pause(what).await;
    }
}
