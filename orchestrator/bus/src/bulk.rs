//! Bulk operations over NATS: asking the owners of partitions, and answering people.

use std::time::Duration;

use amends_engine::bulk::{BulkDesk, Operators};
use amends_nats::Nats;
use amends_schemas::bulk::{BulkRef, ControlBulk, ListBulk, StartBulk};
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::operate::{OperateSaga, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, Cancellation};
use amends_schemas::search::SagaFilter;
use amends_schemas::subjects::{self, PartitionVerb};
use async_nats::Message;
use async_trait::async_trait;
use bytes::Bytes;

use crate::answers::answer;
use crate::endpoints::asked;

/// How long the owner of a partition may take to commit before it is asked again.
const OPERATE_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks whoever owns a saga's partition.
pub(crate) struct NatsOperators {
    pub(crate) nats: Nats,
    pub(crate) partition_count: PartitionCount,
}

impl NatsOperators {
    fn subject(&self, saga_id: SagaId, verb: PartitionVerb) -> String {
        subjects::partition(saga_id.partition(self.partition_count), verb)
    }
}

#[async_trait]
impl Operators for NatsOperators {
    async fn operate(&self, request: &OperateSaga) -> Result<(), Problem> {
        let subject = self.subject(request.saga_id, PartitionVerb::Operate);
        self.nats.ask::<_, Operated>(subject, request, OPERATE_TIMEOUT).await.map(drop)
    }

    async fn cancel(&self, request: &CancelSaga) -> Result<(), Problem> {
        let subject = self.subject(request.saga_id, PartitionVerb::Cancel);
        self.nats.ask::<_, Cancellation>(subject, request, OPERATE_TIMEOUT).await.map(drop)
    }
}

/// What is asked of bulk operations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BulkQuestion {
    /// What a filter finds.
    Preview,
    /// To begin one.
    Start,
    /// How one stands.
    Get,
    /// A page of them.
    List,
    /// To steer one.
    Control,
}

/// Answers a question.
pub(crate) async fn respond(desk: &BulkDesk, question: BulkQuestion, message: &Message) -> Bytes {
    understood(desk, question, message).await.unwrap_or_else(|malformed| malformed)
}

async fn understood(desk: &BulkDesk, question: BulkQuestion, message: &Message) -> Result<Bytes, Bytes> {
    Ok(match question {
        BulkQuestion::Preview => answer(desk.preview(&asked::<SagaFilter>(message)?).await),
        BulkQuestion::Start => answer(desk.start(asked::<StartBulk>(message)?).await),
        BulkQuestion::Get => answer(desk.get(asked::<BulkRef>(message)?.bulk_id).await),
        BulkQuestion::List => answer(desk.list(&asked::<ListBulk>(message)?).await),
        BulkQuestion::Control => answer(desk.control(&asked::<ControlBulk>(message)?).await),
    })
}
