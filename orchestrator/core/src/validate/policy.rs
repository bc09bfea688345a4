//! Durations and retries.

use std::time::Duration;

use super::finding::Reader;
use super::tree::{Node, Tree};
use crate::definition::{DEFAULT_ATTEMPTS, DEFAULT_ATTEMPTS_LASTING, RetryPolicy, StepKind};

/// Longest timeout of one attempt: what takes longer than a day is not one step.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest wait between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest deadline of a saga.
pub const DEADLINE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Longest `sleep`, and longest wait for a signal: five years. What waits longer outlives the people who wrote it down.
pub const WAIT_MAX: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);

/// Most attempts a definition may ask for: each leaves facts in the journal.
pub const ATTEMPTS_MAX: u32 = 10_000;

/// Largest factor between two waits.
pub const FACTOR_MAX: f64 = 100.0;

/// What to write for a duration.
const DURATION: &str = "a number and a unit such as `200ms`, `10s`, `5m`, `1h` or `2d`";

impl Reader<'_> {
    /// A duration from one millisecond to `most`.
    pub(super) fn duration(&mut self, node: &Node, what: &str, most: Duration) -> Option<Duration> {
        let Tree::Text(text) = &node.tree else { return self.wrong_type(node, what, DURATION) };
        match read_duration(text) {
            None => self.report(node.at, "bad_duration", format!("{what} is `{text}`; write {DURATION}")),
            Some(read) if read.is_zero() || read > most => self.report(
                node.at,
                "bad_duration",
                format!("{what} is `{text}`; write something from `1ms` to `{}h`", most.as_secs() / 3600),
            ),
            Some(read) => Some(read),
        }
    }

    /// A step's `retry`, or what holds without.
    pub(super) fn step_retry(&mut self, node: Option<&Node>, kind: Option<StepKind>) -> Option<RetryPolicy> {
        self.retry(
            node,
            match kind {
                Some(StepKind::Retriable) => DEFAULT_ATTEMPTS_LASTING,
                Some(StepKind::Compensable | StepKind::Pivot | StepKind::Wait) | None => DEFAULT_ATTEMPTS,
            },
        )
    }

    pub(super) fn retry(&mut self, node: Option<&Node>, attempts: u32) -> Option<RetryPolicy> {
        let mut policy = RetryPolicy::with_attempts(attempts);
        let Some(node) = node else { return Some(policy) };
        let members = self.map(node, "`retry`", &["attempts", "backoff", "factor", "max_backoff", "jitter", "only"])?;
        let mut sound = true;
        if let Some(node) = members.get("attempts") {
            self.whole(node, "`attempts`", 1, ATTEMPTS_MAX)
                .map(|read| policy.attempts = read)
                .unwrap_or_else(|| sound = false);
        }
        if let Some(node) = members.get("backoff") {
            self.duration(node, "`backoff`", BACKOFF_MAX)
                .map(|read| policy.backoff = read)
                .unwrap_or_else(|| sound = false);
        }
        if let Some(node) = members.get("factor") {
            self.number(node, "`factor`", 1.0, FACTOR_MAX)
                .map(|read| policy.factor = read)
                .unwrap_or_else(|| sound = false);
        }
        if let Some(node) = members.get("max_backoff") {
            let read = self.duration(node, "`max_backoff`", BACKOFF_MAX);
            read.map(|read| policy.max_backoff = read).unwrap_or_else(|| sound = false);
        } else {
            policy.max_backoff = policy.max_backoff.max(policy.backoff);
        }
        if let Some(node) = members.get("jitter") {
            self.number(node, "`jitter`", 0.0, 1.0).map(|read| policy.jitter = read).unwrap_or_else(|| sound = false);
        }
        if let Some(node) = members.get("only") {
            match self.texts(node, "`only`") {
                Some(codes) => policy.only = codes.into_iter().map(|(_, code)| code).collect(),
                None => sound = false,
            }
        }
        if policy.max_backoff < policy.backoff {
            let at = members.get("max_backoff").map_or(members.at, |node| node.at);
            return self.report(
                at,
                "bad_duration",
                "`max_backoff` is shorter than `backoff`; make it as long at least",
            );
        }
        sound.then_some(policy)
    }
}

/// A number and one of `ms`, `s`, `m`, `h` and `d`.
fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let ms = |text| read_duration(text).map(|read| read.as_millis());
        assert_eq!(
            ["200ms", "10s", "5m", "1h", "2d", "0s"].map(ms),
            [200, 10_000, 300_000, 3_600_000, 172_800_000, 0].map(Some)
        );
        for text in ["", "s", "10", "10 s", "-1s", "1.5s", "1s ", "1h30m", "99999999999999999999d", "1y", "10S"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }
}
