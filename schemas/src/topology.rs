//! Streams and consumers as data: one place says how they are configured, `bus` makes it so.

use std::time::Duration;

use crate::contract::ContractName;
use crate::subjects;

/// How a stream keeps messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Until acknowledged. For commands.
    WorkQueue,
    /// Until too old or too many. For domain events.
    Limits,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Its name.
    pub name: &'static str,
    /// What it captures.
    pub subjects: &'static str,
    /// How it keeps.
    pub retention: Retention,
    /// How long a message id is remembered. Short: a re-dispatch must not be mistaken for a repeat.
    pub duplicate_window: Duration,
    /// Oldest message kept; `None` keeps until acknowledged.
    pub max_age: Option<Duration>,
    /// Most bytes kept; publishing beyond it is refused (work queue) or drops the oldest (limits).
    pub max_bytes: i64,
}

/// The work queue of all commands. At its byte bound publishing fails and the dispatcher waits: nothing is dropped.
pub const COMMANDS: StreamSpec = StreamSpec {
    name: "AMENDS_COMMANDS",
    subjects: subjects::COMMANDS,
    retention: Retention::WorkQueue,
    duplicate_window: Duration::from_secs(5),
    max_age: None,
    max_bytes: STREAM_BYTES_MAX,
};

/// All domain events. Outboxes keep what they published for as long, so that a lost stream can be filled again.
pub const EVENTS: StreamSpec = StreamSpec {
    name: "AMENDS_EVENTS",
    subjects: subjects::EVENTS,
    retention: Retention::Limits,
    duplicate_window: Duration::from_secs(5),
    max_age: Some(EVENT_AGE_MAX),
    max_bytes: STREAM_BYTES_MAX,
};

/// Most bytes of one stream. nats-server sets as much aside when the stream is made and refuses when its disk has less, so this is no larger
/// than a busy deployment needs: a million commands of a kilobyte.
pub const STREAM_BYTES_MAX: i64 = 1024 * 1024 * 1024;

/// How long domain events can be consumed and are kept in outboxes.
pub const EVENT_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Every stream.
pub const STREAMS: [&StreamSpec; 2] = [&COMMANDS, &EVENTS];

/// How long a command may stay unacknowledged before another worker gets it. Workers say "in progress" three times
/// within it, so only a dead worker lets it pass.
pub const ACK_WAIT: Duration = Duration::from_secs(5);

/// Commands of one contract that may be with workers at once, over all workers. Above any worker's own concurrency, so
/// that one slow worker does not stall the others silently.
pub const ACK_PENDING_MAX: i64 = 8192;

/// Bucket of partition leases: who *tries* to own. The journal decides who does.
pub const LEASE_BUCKET: &str = "AMENDS_LEASES";

/// How long a lease lasts unless renewed. Short, so that a killed orchestrator's successor serves within 3 s.
pub const LEASE_TTL: Duration = Duration::from_secs(2);

/// Durable name of the consumer of one contract's commands.
pub fn command_consumer(contract: &ContractName) -> String {
    format!("{}-{}-v{}", contract.context(), contract.step(), contract.version())
}

/// The contract whose commands have this subject, if it is the subject of a contract's commands.
pub fn contract_of_subject(subject: &str) -> Option<ContractName> {
    let mut tokens = subject.strip_prefix(subjects::COMMANDS.strip_suffix('>')?)?.split('.');
    let (context, step, version) = (tokens.next()?, tokens.next()?, tokens.next()?.strip_prefix('v')?);
    let contract: ContractName = format!("{context}.{step}@{version}").parse().ok()?;
    (subjects::command(&contract) == subject).then_some(contract)
}

/// Durable name of the consumer of domain events of one context.
pub fn event_consumer(context: &str) -> String {
    format!("events-for-{context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_found_again_by_its_subject() {
        let contract: ContractName = "payment.capture@12".parse().expect("valid");
        assert_eq!(contract_of_subject(&subjects::command(&contract)), Some(contract));
        for other in
            ["amends.cmd.payment.capture", "amends.cmd.payment.capture.v1.x", "amends.evt.a.b.v1", "amends.cmd.a.b.v01"]
        {
            assert_eq!(contract_of_subject(other), None, "{other}");
        }
    }
}
