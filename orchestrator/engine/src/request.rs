//! What is asked of a partition, from outside and from within.

use std::fmt;
use std::sync::Arc;

use amends_schemas::command::Reply;
use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::operate::{CompensationPreview, OperateSaga, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, Cancellation, HistoryPage, HistoryQuery, SagaView, StartSaga};
use amends_schemas::signal::{SignalReceipt, SignalSaga};

use tokio::sync::oneshot;

use crate::errand::{ErrandName, Refusal};
use crate::ports::{StoreError, StoredSaga};

/// Gives an answer, once, after what it tells is committed. Called on the partition's loop: it must not block. Dropped
/// without being called when the partition is lost: then nothing is known, and whoever asked asks again.
pub type Respond<T> = Box<dyn FnOnce(Result<T, Problem>) + Send>;

/// Where an input came from, for traces. Cheap when nothing is traced.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// W3C trace context to put on what it causes.
    pub traceparent: Option<Arc<str>>,
    /// The span in which it is decided; [`tracing::Span::none`] when it is not recorded.
    pub span: Option<tracing::Span>,
}

/// What is asked.
pub enum Ask {
    /// Start a saga, or be told of it when it is there.
    Start(StartSaga, Respond<SagaView>),
    /// Read one.
    Get(SagaId, Respond<SagaView>),
    /// Read some of its facts.
    History(HistoryQuery, Respond<HistoryPage>),
    /// Cancel one.
    Cancel(CancelSaga, Respond<Cancellation>),
    /// Give one a signal.
    Signal(SignalSaga, Respond<SignalReceipt>),
    /// Know of a child's end.
    ChildEnded(ChildEnded, Respond<()>),
    /// Do something with one by hand.
    Operate(OperateSaga, Respond<Operated>),
    /// Say what cancelling would do now.
    Preview(SagaId, Respond<CompensationPreview>),
    /// Publish its changes for a while; answered with how it stands now.
    Watch(SagaId, Respond<SagaView>),
    /// A worker's answer.
    Reply(Reply, Respond<()>),
}

impl Ask {
    /// The saga it is about.
    pub fn saga_id(&self) -> SagaId {
        match self {
            Ask::Start(request, _) => request.saga_id,
            Ask::Get(saga_id, _) | Ask::Watch(saga_id, _) => *saga_id,
            Ask::History(query, _) => query.saga_id,
            Ask::Signal(request, _) => request.saga_id,
            Ask::ChildEnded(told, _) => told.parent.saga_id,
            Ask::Cancel(request, _) => request.saga_id,
            Ask::Operate(request, _) => request.saga_id,
            Ask::Preview(saga_id, _) => *saga_id,
            Ask::Reply(reply, _) => reply.saga_id,
        }
    }

    /// Its name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Ask::Start(..) => "start",
            Ask::Get(..) => "get",
            Ask::History(..) => "history",
            Ask::Cancel(..) => "cancel",
            Ask::Signal(..) => "signal",
            Ask::ChildEnded(..) => "child-ended",
            Ask::Operate(..) => "operate",
            Ask::Preview(..) => "preview",
            Ask::Watch(..) => "watch",
            Ask::Reply(..) => "reply",
        }
    }

    /// Answers with a problem.
    pub fn refuse(self, problem: Problem) {
        match self {
            Ask::Start(_, respond) | Ask::Get(_, respond) | Ask::Watch(_, respond) => respond(Err(problem)),
            Ask::History(_, respond) => respond(Err(problem)),
            Ask::Cancel(_, respond) => respond(Err(problem)),
            Ask::Signal(_, respond) => respond(Err(problem)),
            Ask::Operate(_, respond) => respond(Err(problem)),
            Ask::Preview(_, respond) => respond(Err(problem)),
            Ask::Reply(_, respond) => respond(Err(problem)),
            Ask::ChildEnded(_, respond) => respond(Err(problem)),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.saga_id())
    }
}

/// A request to a partition.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub ask: Ask,
    /// Its size on the wire, to bound a round.
    pub bytes: usize,
    /// Where it came from.
    pub origin: Origin,
}

/// What a partition's own helpers tell it. Unbounded in the channel, bounded by what is under way: loads, dispatches and one
/// projection, each bounded in the settings.
#[derive(Debug)]
pub(crate) enum Internal {
    /// A saga was read from the view.
    Loaded { saga_id: SagaId, result: Result<Option<Box<StoredSaga>>, StoreError> },
    /// An errand was answered.
    ErrandEnded { saga_id: SagaId, name: ErrandName, result: Result<(), Refusal> },
    /// Nobody answers an errand; it is sent again if its saga still wants it.
    ErrandStranded { saga_id: SagaId, name: ErrandName },
    /// A queued attempt's turn has come.
    Admitted { saga_id: SagaId, step: usize },
    /// NATS will never take a command; this is the reply it gets instead.
    CommandRefused { reply: Reply },
    /// The projector has written the batch it was given, or was fenced.
    Projected { result: Result<(), StoreError> },
    /// Sagas are to be removed: which of them nobody has, so that requests for them wait until they are [`Internal::Loaded`].
    Forgetting { saga_ids: Vec<SagaId>, free: oneshot::Sender<Vec<SagaId>> },
    /// Dispatch everything in flight again.
    Redispatch,
    /// The lease was lost and is ours again: find out whether anybody owned the partition in between.
    ProveOwnership,
}
