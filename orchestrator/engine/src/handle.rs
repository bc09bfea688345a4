//! The way into a partition that this process owns.

use amends_schemas::command::Reply;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::limits::PARKED_SHOWN_MAX;
use amends_schemas::operate::{CompensationPreview, OperateSaga, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{
    CancelSaga, Cancellation, HistoryPage, HistoryQuery, ParkedView, PartitionStanding, SagaView, StartSaga,
};
use amends_schemas::signal::{SignalReceipt, SignalSaga};
use tokio::sync::{mpsc, oneshot};

use crate::request::{Ask, Origin, Request, Respond};
use crate::status::StatusCell;

/// Puts requests to one partition. Cheap to clone; of no use once the partition is lost.
#[derive(Debug, Clone)]
pub struct PartitionHandle {
    partition: PartitionId,
    requests: mpsc::Sender<Request>,
    status: StatusCell,
}

impl PartitionHandle {
    pub(crate) const fn new(partition: PartitionId, requests: mpsc::Sender<Request>, status: StatusCell) -> Self {
        Self { partition, requests, status }
    }

    /// How it stands, without asking its loop.
    pub fn standing(&self) -> PartitionStanding {
        let status = self.status.read();
        let shown = status.parked.iter().take(PARKED_SHOWN_MAX).map(|saga| ParkedView {
            saga_id: saga.saga_id,
            definition: saga.definition.clone(),
            reason: saga.reason.clone(),
        });
        PartitionStanding { saga_count: status.saga_count, parked_count: status.parked.len(), parked: shown.collect() }
    }

    /// Which partition.
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Hands a request over, waiting for room. Its answer comes through its own [`Respond`].
    ///
    /// # Errors
    /// The request itself when the partition is lost. Cancel safe: dropped before it resolves, nothing was handed over.
    pub async fn submit(&self, request: Request) -> Result<(), Box<Request>> {
        self.requests.send(request).await.map_err(|refused| Box::new(refused.0))
    }

    /// Starts a saga.
    ///
    /// # Errors
    /// `definition_not_found`, `idempotency_conflict`, `invalid_input`, `partition_lost` and others.
    pub async fn start(&self, request: StartSaga) -> Result<SagaView, Problem> {
        self.ask(|respond| Ask::Start(request, respond)).await
    }

    /// Reads a saga; sees everything that was answered before.
    ///
    /// # Errors
    /// `saga_not_found`, `definition_missing`, `partition_lost`.
    pub async fn get(&self, saga_id: SagaId) -> Result<SagaView, Problem> {
        self.ask(|respond| Ask::Get(saga_id, respond)).await
    }

    /// Reads a stretch of a saga's facts.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, Problem> {
        self.ask(|respond| Ask::History(query, respond)).await
    }

    /// Gives a saga a signal.
    ///
    /// # Errors
    /// As [`Self::get`], and `unknown_signal`, `signal_already_given`, `signal_too_late`, `signal_id_reused`, `invalid_signal` and others.
    pub async fn signal(&self, request: SignalSaga) -> Result<SignalReceipt, Problem> {
        self.ask(|respond| Ask::Signal(request, respond)).await
    }

    /// Cancels a saga.
    ///
    /// # Errors
    /// As [`Self::get`], and `past_pivot`.
    pub async fn cancel(&self, request: CancelSaga) -> Result<Cancellation, Problem> {
        self.ask(|respond| Ask::Cancel(request, respond)).await
    }

    /// Does something with a saga by hand.
    ///
    /// # Errors
    /// As [`Self::get`], and `illegal_here`, `step_not_found`, `operation_id_reused` and others.
    pub async fn operate(&self, request: OperateSaga) -> Result<Operated, Problem> {
        self.ask(|respond| Ask::Operate(request, respond)).await
    }

    /// Says what cancelling would do now.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn preview(&self, saga_id: SagaId) -> Result<CompensationPreview, Problem> {
        self.ask(|respond| Ask::Preview(saga_id, respond)).await
    }

    /// Has a saga's changes published for a while.
    ///
    /// # Errors
    /// As [`Self::get`], and `too_many_watches`.
    pub async fn watch(&self, saga_id: SagaId) -> Result<SagaView, Problem> {
        self.ask(|respond| Ask::Watch(saga_id, respond)).await
    }

    /// Brings a worker's answer; resolves when it is committed.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn reply(&self, reply: Reply) -> Result<(), Problem> {
        self.ask(|respond| Ask::Reply(reply, respond)).await
    }

    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(Respond<T>) -> Ask) -> Result<T, Problem> {
        let (sender, receiver) = oneshot::channel();
        let respond: Respond<T> = Box::new(move |answer| {
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        });
        let request = Request { ask: ask(respond), bytes: 0, origin: Origin::default() };
        self.submit(request).await.map_err(|_| self.lost())?;
        receiver.await.unwrap_or_else(|_| Err(self.lost()))
    }

    fn lost(&self) -> Problem {
        Problem::unavailable("partition_lost", format!("partition {} is moving to another owner", self.partition))
    }
}
