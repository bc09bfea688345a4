//! Commands: answered from the inbox, or by a handler whose answer goes into the inbox.

use std::sync::Arc;

use amends_database::{DatabaseError, ErrorKind};
use amends_schemas::command::{Command, CompensationReason, Operation, StepError, StepResult};
use amends_schemas::contract::{Contract, ContractName, ContractRegistry};
use amends_schemas::limits::STEP_OUTPUT_BYTES_MAX;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonschema::Validator;
use serde_json::Value;

use super::conflict::{CONFLICT_ATTEMPTS_MAX, pause_after_conflict};
use super::isolated::{Panicked, isolated};
use super::schema::violations;
use crate::context::WorkerError;
use crate::inbox::{InboxRow, Recorded};
use crate::scope::Scope;
use crate::step::{Failure, Probe, Step, StepContext, Success, Undo};
use crate::work::{CommitError, UnitOfWork};

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// To be told to the orchestrator.
    Answer(StepResult),
    /// The database is in trouble: to be tried again later, within the attempt's time.
    Later(StepError),
}

/// A step without its types.
pub(crate) trait ServeStep: Send + Sync {
    fn contract(&self) -> &ContractName;
    fn serve<'a>(&'a self, scope: &'a Scope, command: &'a Command) -> BoxFuture<'a, Result<StepResult, Trouble>>;
}

/// Why a command was not answered this time.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another transaction got in between: from the start.
    Conflict,
    /// The database does not answer.
    Unavailable(DatabaseError),
}

/// Serves one command, [`isolated`].
pub(crate) async fn serve_command(scope: &Scope, server: &Arc<dyn ServeStep>, command: &Arc<Command>) -> Served {
    let (scope, server, command) = (scope.clone(), Arc::clone(server), Arc::clone(command));
    let serving = async move {
        // What else is about this step waits here and then finds the answer in the inbox.
        let key = command.key_of(Operation::Do);
        let _same_step = scope.locks.lock(format!("step/{key}")).await;
        for attempt in 1..=CONFLICT_ATTEMPTS_MAX {
            match server.serve(&scope, &command).await {
                Ok(result) => return Served::Answer(result),
                Err(Trouble::Conflict) => pause_after_conflict(attempt).await,
                Err(Trouble::Unavailable(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
                    return Served::Later(StepError::new(
                        "database_unavailable",
                        "The worker's database does not answer.",
                    ));
                }
            }
        }
        tracing::warn!(attempts = CONFLICT_ATTEMPTS_MAX, "write conflicts do not end");
        Served::Later(StepError::new("write_conflict", "Other transactions got in between, again and again."))
    };
    isolated(serving).await.unwrap_or_else(|Panicked| {
        tracing::error!(code = "bug", "a handler panicked");
        Served::Answer(bug("The handler panicked; the worker's log says where."))
    })
}

/// A step and its contract.
pub(crate) struct StepServer<S> {
    step: S,
    contract: Arc<Contract>,
    input: Validator,
    output: Validator,
}

impl<S: Step> StepServer<S> {
    /// Fails when the registry does not have the contract, or it belongs to another context.
    pub(crate) fn new(step: S, context: &str, contracts: &ContractRegistry) -> Result<Self, WorkerError> {
        let name: ContractName = S::CONTRACT.parse().map_err(|error| WorkerError::Contract(format!("{error}")))?;
        let Some(contract) = contracts.get(&name) else {
            let hint =
                contracts.closest(S::CONTRACT).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            return Err(WorkerError::Contract(format!(
                "context {context} serves {name}, which is no known contract{hint}"
            )));
        };
        if name.context() != context {
            return Err(WorkerError::Contract(format!(
                "context {context} serves {name}, which belongs to {}",
                name.context()
            )));
        }
        let compile = |part: &str, schema: &Value| {
            jsonschema::validator_for(schema)
                .map_err(|error| WorkerError::Contract(format!("{name}: the schema of its {part} is invalid: {error}")))
        };
        let (input, output) = (compile("input", &contract.input)?, compile("output", &contract.output)?);
        Ok(Self { step, contract: Arc::clone(contract), input, output })
    }

    fn read_input(&self, command: &Command) -> Result<S::Input, StepError> {
        if let Some(text) = violations(&self.input, &command.input) {
            return Err(StepError::new("invalid_input", text));
        }
        serde_json::from_value(command.input.clone()).map_err(|error| {
            tracing::error!(
                code = "bug",
                line = error.line(),
                "the input fits the contract but not the handler's type"
            );
            StepError::new("invalid_input", "It fits the contract, but the worker cannot read it.")
        })
    }

    /// What a success is to be recorded as, or what is wrong with it.
    fn check(&self, success: Success<S::Output>) -> Result<Recorded, String> {
        let outcome = success.outcome.map(str::to_owned);
        match &outcome {
            None if !self.contract.outcomes.is_empty() => {
                return Err("it names none of the contract's outcomes".to_owned());
            }
            Some(outcome) if !self.contract.outcomes.contains(outcome) => {
                return Err(format!("the contract has no outcome `{outcome}`"));
            }
            None | Some(_) => {}
        }
        let output = serde_json::to_value(success.output).map_err(|error| format!("the output is no JSON: {error}"))?;
        if let Some(text) = violations(&self.output, &output) {
            return Err(format!("the output breaks the contract: {text}"));
        }
        match serde_json::to_vec(&output).map(|bytes| bytes.len()) {
            Ok(bytes) if bytes <= STEP_OUTPUT_BYTES_MAX => Ok(Recorded::Succeeded { outcome, output }),
            Ok(bytes) => Err(format!("the output has {bytes} bytes; {STEP_OUTPUT_BYTES_MAX} is the most")),
            Err(error) => Err(format!("the output is no JSON: {error}")),
        }
    }

    async fn serialise(&self, scope: &Scope, input: &S::Input) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        match self.step.serial_key(input) {
            Some(key) => Some(scope.locks.lock(format!("serial/{key}")).await),
            None => None,
        }
    }

    fn begin(scope: &Scope, command: &Command, key: &str) -> StepContext {
        StepContext {
            work: UnitOfWork::new(scope),
            saga_id: command.saga_id,
            step: command.step.clone(),
            key: key.to_owned(),
            attempt: command.attempt,
            expires_at: command.expires_at,
        }
    }

    async fn serve_do(&self, scope: &Scope, command: &Command, key: String) -> Result<StepResult, Trouble> {
        if let Some(recorded) = scope.inbox.find(&key).await.map_err(trouble)? {
            return Ok(recorded.answer());
        }
        let input = match self.read_input(command) {
            Ok(input) => input,
            Err(error) => return Ok(StepResult::Failed { error }),
        };
        let _serial = self.serialise(scope, &input).await;
        let mut context = Self::begin(scope, command, &key);
        match self.step.execute(&mut context, input).await {
            Ok(success) => self.settle_success(context.work, key, command.operation, success).await,
            Err(failure) => self.settle_failure(context.work, Some(key), command.operation, failure).await,
        }
    }

    async fn serve_probe(&self, scope: &Scope, command: &Command, key: String) -> Result<StepResult, Trouble> {
        if let Some(recorded) = scope.inbox.find(&key).await.map_err(trouble)? {
            return Ok(recorded.answer());
        }
        if !self.contract.probe {
            let message = format!("{} has no probe.", self.contract.contract);
            return Ok(StepResult::Unknown { error: StepError::new("probe_not_offered", message) });
        }
        let input = match self.read_input(command) {
            Ok(input) => input,
            Err(error) => return Ok(StepResult::Failed { error }),
        };
        let _serial = self.serialise(scope, &input).await;
        let mut context = Self::begin(scope, command, &key);
        match self.step.probe(&mut context, input).await {
            Ok(Probe::Happened(success)) => self.settle_success(context.work, key, command.operation, success).await,
            Ok(Probe::NotHappened) => settle(context.work.commit(&[]).await, || StepResult::NotHappened),
            Err(failure) => self.settle_failure(context.work, Some(key), command.operation, failure).await,
        }
    }

    async fn serve_undo(&self, scope: &Scope, command: &Command, do_key: String) -> Result<StepResult, Trouble> {
        if !self.contract.undo {
            let message = format!("{} has no undo.", self.contract.contract);
            return Ok(StepResult::Failed { error: StepError::new("undo_not_offered", message) });
        }
        let undone = || StepResult::Succeeded { outcome: None, output: Value::Null };
        let undo_key = command.key_of(Operation::Undo);
        if scope.inbox.find(&undo_key).await.map_err(trouble)?.is_some() {
            return Ok(undone());
        }
        let recorded = scope.inbox.find(&do_key).await.map_err(trouble)?;
        let (known, output) = match &recorded {
            Some(Recorded::Tombstone | Recorded::Heard) => return Ok(undone()),
            Some(Recorded::Succeeded { output, .. }) => (true, Some(output)),
            // The orchestrator may know better than an inbox that has forgotten, or lost its database.
            Some(Recorded::Failed { .. }) | None => (command.output.is_some(), command.output.as_ref()),
        };
        let work = UnitOfWork::new(scope);
        let mut rows = vec![InboxRow::step(
            undo_key,
            Operation::Undo,
            &Recorded::Succeeded { outcome: None, output: Value::Null },
            work.now(),
        )];
        if recorded.is_none() {
            // Bars a late `do`, and collides with one that commits at this moment.
            rows.push(InboxRow::step(do_key.clone(), Operation::Do, &Recorded::Tombstone, work.now()));
        }
        let input = match (self.read_input(command), known) {
            (Ok(input), true) => input,
            (Ok(input), false) if S::UNDO_WITHOUT_DO => input,
            // Nothing was done, and with an input that is refused nothing can have been.
            (Ok(_) | Err(_), false) => return settle(work.commit(&rows).await, undone),
            (Err(error), true) => return Ok(StepResult::Failed { error }),
        };
        let Ok(output) = output.cloned().map(serde_json::from_value::<S::Output>).transpose() else {
            tracing::error!(code = "bug", "the recorded output does not fit the handler's type");
            return Ok(bug("The recorded output does not fit the handler's type."));
        };
        let _serial = self.serialise(scope, &input).await;
        let mut context = Self::begin(scope, command, &do_key);
        let reason = command.reason.unwrap_or(CompensationReason::Failed);
        match self.step.undo(&mut context, Undo { input, output, reason }).await {
            Ok(()) => settle(context.work.commit(&rows).await, undone),
            // Not recorded: what cannot be undone now may be undone later, or turn out to stand.
            Err(failure) => self.settle_failure(context.work, None, command.operation, failure).await,
        }
    }

    async fn settle_success(
        &self,
        work: UnitOfWork,
        key: String,
        operation: Operation,
        success: Success<S::Output>,
    ) -> Result<StepResult, Trouble> {
        match self.check(success) {
            Ok(recorded) => {
                let row = InboxRow::step(key, operation, &recorded, work.now());
                settle(work.commit(&[row]).await, || recorded.answer())
            }
            Err(text) => {
                tracing::error!(code = "bug", reason = text, "a handler answers what its contract does not allow");
                Ok(bug(format!("The handler answers what its contract does not allow: {text}")))
            }
        }
    }

    async fn settle_failure(
        &self,
        work: UnitOfWork,
        key: Option<String>,
        operation: Operation,
        failure: Failure,
    ) -> Result<StepResult, Trouble> {
        match failure {
            Failure::Failed { code, message } => {
                if !self.contract.errors.contains_key(code) {
                    tracing::warn!(code, "a failure that the contract does not name");
                }
                let error = StepError::new(code, message);
                let recorded = Recorded::Failed { error: error.clone() };
                let rows: Vec<InboxRow> =
                    key.map(|key| InboxRow::step(key, operation, &recorded, work.now())).into_iter().collect();
                settle(work.commit_failure(&rows).await, || StepResult::Failed { error })
            }
            Failure::Retry { code, message, after } => {
                let after_ms = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
                Ok(StepResult::Retry { error: StepError::new(code, message), after_ms })
            }
            Failure::Unknown { code, message } => Ok(StepResult::Unknown { error: StepError::new(code, message) }),
            Failure::Database(error) => settle(Err(CommitError::Database(error)), || bug("unreachable")),
            Failure::Bug(message) => {
                tracing::error!(code = "bug", reason = message, "a handler says it has a bug");
                Ok(bug(message))
            }
        }
    }
}

impl<S: Step> ServeStep for StepServer<S> {
    fn contract(&self) -> &ContractName {
        &self.contract.contract
    }

    fn serve<'a>(&'a self, scope: &'a Scope, command: &'a Command) -> BoxFuture<'a, Result<StepResult, Trouble>> {
        let key = command.key_of(Operation::Do);
        async move {
            match command.operation {
                Operation::Do => self.serve_do(scope, command, key).await,
                Operation::Undo => self.serve_undo(scope, command, key).await,
                Operation::Probe => self.serve_probe(scope, command, key).await,
            }
        }
        .boxed()
    }
}

/// The answer once the commit has gone well; what to do when it has not.
fn settle(committed: Result<(), CommitError>, answer: impl FnOnce() -> StepResult) -> Result<StepResult, Trouble> {
    let error = match committed {
        Ok(()) => return Ok(answer()),
        Err(CommitError::Broken(error)) => {
            tracing::error!(
                code = "bug",
                error = &error as &dyn std::error::Error,
                "a handler succeeds after a statement has failed"
            );
            return Ok(bug("The handler succeeds after one of its statements has failed."));
        }
        Err(CommitError::Database(error)) => error,
    };
    match error.kind() {
        // A record that exists now did not when the handler looked: it looks again.
        ErrorKind::Conflict | ErrorKind::AlreadyExists => Err(Trouble::Conflict),
        ErrorKind::Unavailable | ErrorKind::Locked => Err(Trouble::Unavailable(error)),
        ErrorKind::Bug => {
            tracing::error!(code = "bug", error = &error as &dyn std::error::Error, "the database refuses a statement");
            Ok(bug("The database refuses a statement; the worker's log says which."))
        }
    }
}

/// What looking into the inbox can end in. A bug here is not the handler's: it is waited out, for a person or a new version.
fn trouble(error: DatabaseError) -> Trouble {
    match error.kind() {
        ErrorKind::Conflict | ErrorKind::AlreadyExists => Trouble::Conflict,
        ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Bug => Trouble::Unavailable(error),
    }
}

fn bug(message: impl Into<String>) -> StepResult {
    StepResult::Unknown { error: StepError::new("bug", message) }
}
