//! Handlers of step contracts, and how they can end.

use std::future::Future;
use std::time::Duration;

use amends_database::DatabaseError;
use amends_schemas::command::CompensationReason;
use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::work::UnitOfWork;

/// Serves one step contract.
///
/// The SDK answers a repeated command from its inbox without calling the handler; refuses a `do` whose `undo` came first;
/// answers an `undo` of what never happened itself only if no trace of the `do` is in the inbox **and** the contract
/// does not say otherwise through [`Step::UNDO_WITHOUT_DO`]; checks input and output against the contract's schemas; tells
/// JetStream that long commands are in progress.
pub trait Step: Send + Sync + 'static {
    /// The contract's name, such as `payment.capture@1`.
    const CONTRACT: &'static str;

    /// Whether `undo` is called even when the inbox has no successful `do`: for steps that touch the outside world before
    /// their own commit.
    const UNDO_WITHOUT_DO: bool = false;

    /// What goes in.
    type Input: DeserializeOwned + Serialize + Send + Sync;

    /// What comes out.
    type Output: Serialize + DeserializeOwned + Send + Sync;

    /// Calls with equal keys run one after the other within this process. It only saves write conflicts; what must hold is
    /// held by the transaction.
    fn serial_key(&self, _input: &Self::Input) -> Option<String> {
        None
    }

    /// Does the step.
    fn execute(
        &self,
        context: &mut StepContext,
        input: Self::Input,
    ) -> impl Future<Output = Result<Success<Self::Output>, Failure>> + Send;

    /// Makes amends. Only called for contracts with `"undo": true`, and not again once it has succeeded.
    ///
    /// Called when the inbox has a successful `do`, when the orchestrator sends along what the `do` returned (it knows better than an
    /// inbox that has forgotten), and otherwise only with [`Step::UNDO_WITHOUT_DO`]. When it succeeds without a `do` in the inbox a
    /// tombstone is left in the same transaction: a `do` that is in its handler at that moment, in whatever process, collides with it, runs
    /// again and is refused. A `do` that acts on the outside world before its commit must therefore be undone there by key.
    ///
    /// [`Failure::Failed`] of an undo is answered and its unit of work commits, but it is **not** recorded: what cannot be undone now
    /// may turn out to stand (the saga probes it then) or be undone later, so the same key asks this handler again.
    fn undo(
        &self,
        _context: &mut StepContext,
        _undo: Undo<Self::Input, Self::Output>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Err(Failure::bug(format!("{} has no undo", Self::CONTRACT))) }
    }

    /// Says whether `execute` has happened under `context.key`. May record what it learns. Only called for contracts with
    /// `"probe": true`, and only when the inbox does not know.
    fn probe(
        &self,
        _context: &mut StepContext,
        _input: Self::Input,
    ) -> impl Future<Output = Result<Probe<Self::Output>, Failure>> + Send {
        async { Err(Failure::bug(format!("{} has no probe", Self::CONTRACT))) }
    }
}

/// What a handler knows of the command it serves.
#[derive(Debug)]
pub struct StepContext {
    /// Its transaction.
    pub work: UnitOfWork,
    /// The saga.
    pub saga_id: SagaId,
    /// The step's name within the saga.
    pub step: String,
    /// The idempotency key of the `do`, the same for every attempt and for the probe and undo of it: pass it on to whatever
    /// lies outside.
    pub key: String,
    /// Which try, from one.
    pub attempt: u32,
    /// When the orchestrator stops waiting for this attempt.
    pub expires_at: DateTime<Utc>,
}

/// How a step succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct Success<O> {
    /// One of the contract's outcomes, when it declares any.
    pub outcome: Option<&'static str>,
    /// What it returns.
    pub output: O,
}

impl<O> Success<O> {
    /// The one way.
    pub const fn new(output: O) -> Self {
        Self { outcome: None, output }
    }

    /// One of several ways.
    pub const fn with_outcome(outcome: &'static str, output: O) -> Self {
        Self { outcome: Some(outcome), output }
    }
}

/// What is to be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo<I, O> {
    /// What `execute` was given.
    pub input: I,
    /// What it returned, when that is known.
    pub output: Option<O>,
    /// Why.
    pub reason: CompensationReason,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe<O> {
    /// It happened; the SDK records it in the inbox as if `execute` had answered so.
    Happened(Success<O>),
    /// No trace of it.
    NotHappened,
}

/// How a handler ends when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// It did not and will not happen; nothing is left behind. Final: recorded in the inbox under the `do` key (of an `undo` it is
    /// not, see [`Step::undo`]). With it commits what the unit of work holds (a refused intent, say); when that conflicts the handler
    /// runs again.
    Failed {
        /// One of the contract's error codes.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// It did not happen; worth another try. Nothing commits.
    Retry {
        /// Stable, in `snake_case`.
        code: &'static str,
        /// For people.
        message: String,
        /// Not sooner than this.
        after: Option<Duration>,
    },
    /// Nobody can say yet whether it happened. Nothing commits.
    Unknown {
        /// Stable, in `snake_case`.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The database did not do it. Conflicts (and records that exist though the handler did not see them) run the handler again here; a
    /// database that is away is waited for by giving the command back until its attempt has expired, then answered as unknown.
    Database(DatabaseError),
    /// Our own mistake. Answered as unknown with code `bug`; logged with its chain.
    Bug(String),
}

impl Failure {
    /// A clean, final failure.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }

    /// Not now.
    pub fn retry(code: &'static str, message: impl Into<String>) -> Self {
        Self::Retry { code, message: message.into(), after: None }
    }

    /// In doubt.
    pub fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self::Unknown { code, message: message.into() }
    }

    /// Our own mistake.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::Bug(message.into())
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
