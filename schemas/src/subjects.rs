//! Every NATS subject, built and named in one place.

use crate::command::Operation;
use crate::contract::ContractName;
use crate::ids::{PartitionId, SagaId};

/// All commands.
pub const COMMANDS: &str = "amends.cmd.>";

/// All domain events.
pub const EVENTS: &str = "amends.evt.>";

/// Commands of one contract.
pub fn command(contract: &ContractName) -> String {
    format!("amends.cmd.{}.{}.v{}", contract.context(), contract.step(), contract.version())
}

/// A domain event, by its CloudEvents type (`registration.RegistrationConfirmed.v1`).
pub fn domain_event(event_type: &str) -> String {
    format!("amends.evt.{event_type}")
}

/// A query or an operation that a context serves directly.
pub fn context_endpoint(context: &str, endpoint: &str) -> String {
    format!("amends.ctx.{context}.{endpoint}")
}

/// What is asked of the owner of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionVerb {
    /// A worker's [`Reply`](crate::command::Reply).
    Reply,
    /// [`StartSaga`](crate::saga::StartSaga), answered with a [`SagaView`](crate::saga::SagaView).
    Start,
    /// [`SagaRef`](crate::saga::SagaRef), answered with a [`SagaView`](crate::saga::SagaView).
    Get,
    /// [`HistoryQuery`](crate::saga::HistoryQuery), answered with a [`HistoryPage`](crate::saga::HistoryPage) or a list of
    /// [`HistoryEntry`](crate::saga::HistoryEntry).
    History,
    /// [`CancelSaga`](crate::saga::CancelSaga), answered with a [`Cancellation`](crate::saga::Cancellation).
    Cancel,
    /// [`SignalSaga`](crate::signal::SignalSaga), answered with a [`SignalReceipt`](crate::signal::SignalReceipt).
    Signal,
    /// [`ChildEnded`](crate::family::ChildEnded), answered with null once it is committed.
    ChildEnded,
    /// [`SagaRef`](crate::saga::SagaRef): publish this saga's changes on [`saga_changes`] for [`WATCH_SECONDS`].
    Watch,
    /// [`OperateSaga`](crate::operate::OperateSaga), answered with [`Operated`](crate::operate::Operated).
    Operate,
    /// [`SagaRef`](crate::saga::SagaRef), answered with a [`CompensationPreview`](crate::operate::CompensationPreview).
    Preview,
    /// Anything, answered with a [`PartitionStanding`](crate::saga::PartitionStanding).
    Standing,
}

/// How long a watch lasts unless it is asked for again.
pub const WATCH_SECONDS: u64 = 30;

impl PartitionVerb {
    /// All of them.
    pub const ALL: [PartitionVerb; 11] = [
        PartitionVerb::Reply,
        PartitionVerb::Start,
        PartitionVerb::Get,
        PartitionVerb::History,
        PartitionVerb::Cancel,
        PartitionVerb::Signal,
        PartitionVerb::ChildEnded,
        PartitionVerb::Watch,
        PartitionVerb::Operate,
        PartitionVerb::Preview,
        PartitionVerb::Standing,
    ];

    /// The last token of its subject.
    pub const fn token(self) -> &'static str {
        match self {
            PartitionVerb::Reply => "reply",
            PartitionVerb::Start => "start",
            PartitionVerb::Get => "get",
            PartitionVerb::History => "history",
            PartitionVerb::Cancel => "cancel",
            PartitionVerb::Signal => "signal",
            PartitionVerb::ChildEnded => "child-ended",
            PartitionVerb::Watch => "watch",
            PartitionVerb::Operate => "operate",
            PartitionVerb::Preview => "preview",
            PartitionVerb::Standing => "standing",
        }
    }

    /// The verb of a subject's last token.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.token() == token)
    }
}

/// A request to the owner of a partition.
pub fn partition(partition: PartitionId, verb: PartitionVerb) -> String {
    format!("amends.orc.p.{partition}.{}", verb.token())
}

/// All requests to the owner of a partition.
pub fn partition_all(partition: PartitionId) -> String {
    format!("amends.orc.p.{partition}.*")
}

/// Asks any orchestrator for [`OrchestratorInfo`](crate::saga::OrchestratorInfo).
pub const ORCHESTRATOR_INFO: &str = "amends.orc.info";

/// Asks any orchestrator for a page of sagas.
pub const ORCHESTRATOR_LIST: &str = "amends.orc.list";

/// Asks any orchestrator how many sagas a [`SagaFilter`](crate::search::SagaFilter) finds; answered with a
/// [`SagaCount`](crate::search::SagaCount).
pub const ORCHESTRATOR_COUNT: &str = "amends.orc.count";

/// Asks any orchestrator for the [`SagaCounts`](crate::search::SagaCounts).
pub const ORCHESTRATOR_COUNTS: &str = "amends.orc.counts";

/// Asks any orchestrator what a filter finds, before anything is done to it: a [`SagaFilter`](crate::search::SagaFilter), answered with
/// [`Found`](crate::search::Found).
pub const ORCHESTRATOR_BULK_PREVIEW: &str = "amends.orc.bulk.preview";

/// Asks any orchestrator to begin a bulk operation: [`StartBulk`](crate::bulk::StartBulk), answered with a
/// [`BulkOperation`](crate::bulk::BulkOperation).
pub const ORCHESTRATOR_BULK_START: &str = "amends.orc.bulk.start";

/// Asks any orchestrator for a [`BulkOperation`](crate::bulk::BulkOperation) by its [`BulkRef`](crate::bulk::BulkRef).
pub const ORCHESTRATOR_BULK_GET: &str = "amends.orc.bulk.get";

/// Asks any orchestrator for a page of bulk operations: [`ListBulk`](crate::bulk::ListBulk).
pub const ORCHESTRATOR_BULK_LIST: &str = "amends.orc.bulk.list";

/// Asks any orchestrator to pause, resume or end a bulk operation: [`ControlBulk`](crate::bulk::ControlBulk), answered with the
/// [`BulkOperation`](crate::bulk::BulkOperation).
pub const ORCHESTRATOR_BULK_CONTROL: &str = "amends.orc.bulk.control";

/// Asks any orchestrator for the definitions it serves.
pub const ORCHESTRATOR_DEFINITIONS: &str = "amends.orc.definitions";

/// Asks any orchestrator for a new schedule: [`CreateSchedule`](crate::schedule::CreateSchedule), answered with a
/// [`ScheduleView`](crate::schedule::ScheduleView).
pub const SCHEDULE_CREATE: &str = "amends.orc.schedules.create";

/// Asks any orchestrator for a schedule: [`ScheduleRef`](crate::schedule::ScheduleRef), answered with a
/// [`ScheduleView`](crate::schedule::ScheduleView).
pub const SCHEDULE_GET: &str = "amends.orc.schedules.get";

/// Asks any orchestrator for a page of schedules: [`ListSchedules`](crate::schedule::ListSchedules).
pub const SCHEDULE_LIST: &str = "amends.orc.schedules.list";

/// Asks any orchestrator to do something with a schedule: [`OperateSchedule`](crate::schedule::OperateSchedule), answered with
/// [`ScheduleOperated`](crate::schedule::ScheduleOperated).
pub const SCHEDULE_OPERATE: &str = "amends.orc.schedules.operate";

/// Asks any orchestrator for [`WorkersView`](crate::presence::WorkersView).
pub const ORCHESTRATOR_WORKERS: &str = "amends.orc.workers";

/// Asks any orchestrator for [`QueuesView`](crate::presence::QueuesView).
pub const ORCHESTRATOR_QUEUES: &str = "amends.orc.queues";

/// Asks every service on this NATS who it is; each answers with a [`ServicePing`](crate::presence::ServicePing).
pub const SERVICE_PING: &str = "$SRV.PING";

/// The queue group in which orchestrators answer what any of them can.
pub const ORCHESTRATOR_GROUP: &str = "orchestrators";

/// Changes of one saga while somebody watches: [`SagaView`](crate::saga::SagaView)s.
pub fn saga_changes(saga_id: SagaId) -> String {
    format!("amends.saga.{saga_id}.changed")
}

/// The `Nats-Msg-Id` of a command. `dispatch` tells apart the publications of one attempt: JetStream remembers an id
/// even after the message is gone, so publishing again needs another.
pub fn command_message_id(saga_id: SagaId, step: &str, operation: Operation, attempt: u32, dispatch: &str) -> String {
    format!("{saga_id}/{step}/{operation}/{attempt}/{dispatch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_golden() {
        let contract = "payment.capture@1".parse().expect("valid");
        assert_eq!(command(&contract), "amends.cmd.payment.capture.v1");
        assert_eq!(partition(PartitionId(3), PartitionVerb::Start), "amends.orc.p.3.start");
        assert_eq!(domain_event("billing.InvoiceIssued.v1"), "amends.evt.billing.InvoiceIssued.v1");
        assert_eq!(context_endpoint("events", "get"), "amends.ctx.events.get");
    }

    #[test]
    fn verbs_and_tokens_agree() {
        for verb in PartitionVerb::ALL {
            assert_eq!(PartitionVerb::from_token(verb.token()), Some(verb));
        }
    }
}
