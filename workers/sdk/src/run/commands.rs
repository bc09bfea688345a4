//! Commands of one contract: served, answered to the saga's owner, acknowledged only once the owner has the answer in its journal.

use std::sync::Arc;
use std::time::Duration;

use amends_nats::topology::PullConsumer;
use amends_nats::{Nats, NatsError, trace};
use amends_schemas::command::{Command, Operation, REPLY_COMMITTED, Reply, StepError, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Answer, Problem, ProblemKind};
use async_nats::Request;
use async_nats::jetstream::Message;
use chrono::Utc;
use serde::Deserialize;
use tracing::{Instrument, info_span};

use super::dead_letter::{Buried, Cause, bury, redriven_for};
use super::pull::{Ending, Handle, redelivery_delay};
use crate::dead_letters::{begin_suspect, end_suspect};
use crate::scope::Scope;
use crate::serve::{ServeStep, Served, serve_command};

/// How long the owner may take to commit a reply. It commits within milliseconds, or is not there.
const REPLY_TIME_MAX: Duration = Duration::from_secs(4);

/// First delay of a command that could not be answered.
const REDELIVERY_MIN: Duration = Duration::from_millis(100);

/// Longest delay: what a saga waits at most after its owner has come back.
const REDELIVERY_MAX: Duration = Duration::from_secs(2);

/// Deliveries after which a command is put aside whose answer its owner refuses for good (it does not know the saga, it cannot read the
/// answer). With the delays that is a quarter of a minute: a mistake that passes sooner is not worth a person's time. Nothing is lost: the
/// answer stands in the inbox.
const REFUSED_DELIVERIES_MAX: i64 = 10;

/// Deliveries after which it is noted in the database that a command is being handled, so that a worker lost with it leaves a trace. The
/// first ones are spared the writes: a worker that is lost once was killed for another reason.
const UNSUSPICIOUS_DELIVERIES: i64 = 2;

/// Workers lost with a command, one after the other (a drain that outlasts its time counts as well), after which the next does not try: it would be lost as well, with all that it has
/// in hand.
const LOST_WORKERS_MAX: u64 = 3;

/// How long a command that a person has sent again may take; its attempt's own time is long over.
const REDRIVEN_TIME: Duration = Duration::from_secs(60);

/// What became of a reply.
enum Told {
    /// The owner has it in its journal.
    Committed,
    /// The owner will never take it.
    Refused(Problem),
    /// Nobody answered, or the owner cannot take it now.
    Later,
}

/// What is read of a command that cannot be read whole, so that its saga is told.
#[derive(Deserialize)]
struct Envelope {
    saga_id: SagaId,
    step: String,
    operation: Operation,
    attempt: u32,
    reply_to: String,
}

/// One contract's commands.
pub(super) struct Commands {
    nats: Nats,
    scope: Scope,
    server: Arc<dyn ServeStep>,
}

impl Commands {
    pub(super) fn new(nats: Nats, scope: Scope, server: Arc<dyn ServeStep>) -> Self {
        Self { nats, scope, server }
    }

    /// The command, or what is wrong with it.
    fn read(&self, payload: &[u8]) -> Result<Command, String> {
        // The error's text holds no values but, for a wrong type, a scalar: the position says enough.
        let command: Command = serde_json::from_slice(payload).map_err(|error| {
            format!("no command: {:?} error at line {} column {}", error.classify(), error.line(), error.column())
        })?;
        if command.contract != *self.server.contract() {
            return Err(format!("a command of {} on the subject of {}", command.contract, self.server.contract()));
        }
        if command.round().is_none() {
            return Err("the idempotency key is not that of the saga, step and operation".to_owned());
        }
        if command.reply_to.is_empty() {
            return Err("it says not where to reply".to_owned());
        }
        Ok(command)
    }

    async fn serve(&self, scope: &Scope, message: &Message, command: Command, delivered: i64) -> Ending {
        let command = Arc::new(command);
        let later = || Ending::Nak(redelivery_delay(delivered, REDELIVERY_MIN, REDELIVERY_MAX));
        let suspect = self.suspect(scope, message, &command, delivered).await;
        if let Some(id) = &suspect {
            match begin_suspect(&scope.database, id, Utc::now()).await {
                Ok(times) if times > LOST_WORKERS_MAX => {
                    return self.put_aside_lost(scope, message, &command, id).await;
                }
                Ok(_) => {}
                Err(_) if Utc::now() < command.expires_at => return later(),
                // The handler will find the database in the same state, and answers that.
                Err(_) => {}
            }
        }
        let served = serve_command(scope, &self.server, &command).await;
        if let Some(id) = &suspect
            && let Err(error) = end_suspect(&scope.database, id).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a handled command stays suspect");
        }
        let result = match served {
            Served::Answer(result) => result,
            // Within the attempt's time the trouble may pass; after it the orchestrator shall at least know what is wrong.
            Served::Later(_) if Utc::now() < command.expires_at => return later(),
            Served::Later(error) => StepResult::Unknown { error },
        };
        let status = status(&result);
        match self.reply(scope, &Envelope::of(&command), result).await {
            Told::Committed => {
                tracing::debug!(status, "answered");
                Ending::Ack
            }
            Told::Refused(problem) if delivered >= REFUSED_DELIVERIES_MAX => {
                let reason = format!("The saga's owner refuses the answer, which was {status}: {problem}");
                let about = Some((command.saga_id, command.step.as_str()));
                bury(scope, message, Cause { code: "reply_refused", reason, about }).await.ending()
            }
            Told::Refused(_) | Told::Later => {
                tracing::debug!(status, delivered, "the answer was not taken; answering again later");
                later()
            }
        }
    }

    /// The id under which it is noted that this command is being handled, if it is suspicious: it came several times, and has no answer in
    /// the inbox that only the owner would not take.
    async fn suspect(&self, scope: &Scope, message: &Message, command: &Command, delivered: i64) -> Option<String> {
        if delivered <= UNSUSPICIOUS_DELIVERIES {
            return None;
        }
        let key = command.key_of(command.operation);
        let answered = scope.inbox.find(&key).await.is_ok_and(|found| found.is_some());
        (!answered).then(|| super::dead_letter::id(message))
    }

    /// Puts a command aside with which workers were lost, and tells its saga.
    async fn put_aside_lost(&self, scope: &Scope, message: &Message, command: &Command, suspect: &str) -> Ending {
        let reason = format!("{LOST_WORKERS_MAX} workers were lost one after the other while they handled it");
        let about = Some((command.saga_id, command.step.as_str()));
        let cause = Cause { code: "worker_lost", reason: reason.clone(), about };
        let id = match bury(scope, message, cause).await {
            Buried::Recorded(id) => id,
            Buried::NotNow(ending) => return ending,
        };
        // Left there it would only be swept later.
        let _ = end_suspect(&scope.database, suspect).await;
        let text = format!("{reason}. Context {} keeps the command as {id}.", scope.context);
        let result = StepResult::Unknown { error: StepError::new("dead_letter", text) };
        self.reply(scope, &Envelope::of(command), result).await;
        Ending::Term
    }

    /// Puts a command aside that cannot be read, and tells its saga, if that much can be made out: the step is in doubt, for this
    /// attempt's name may stand for an earlier one.
    async fn put_aside(&self, message: &Message, reason: String) -> Ending {
        let scope = self.scope.of_message(message.headers.as_ref());
        let envelope: Option<Envelope> = serde_json::from_slice(&message.payload).ok();
        let about = envelope.as_ref().map(|envelope| (envelope.saga_id, envelope.step.as_str()));
        let id = match bury(&scope, message, Cause { code: "malformed_command", reason: reason.clone(), about }).await {
            Buried::Recorded(id) => id,
            Buried::NotNow(ending) => return ending,
        };
        if let Some(envelope) = envelope {
            let text =
                format!("A worker cannot read the command: {reason}. Context {} keeps it as {id}.", scope.context);
            let result = StepResult::Unknown { error: StepError::new("dead_letter", text) };
            // Told once: whoever misses it learns of it by the attempt's timeout.
            self.reply(&scope, &envelope, result).await;
        }
        Ending::Term
    }

    /// Gives the owner an answer.
    async fn reply(&self, scope: &Scope, to: &Envelope, result: StepResult) -> Told {
        let reply =
            Reply { saga_id: to.saga_id, step: to.step.clone(), operation: to.operation, attempt: to.attempt, result };
        let payload = serde_json::to_vec(&reply).expect("a reply has string keys only");
        let request = Request::new().payload(payload.into()).headers(scope.headers()).timeout(Some(REPLY_TIME_MAX));
        let answer = match self.nats.client().send_request(to.reply_to.clone(), request).await {
            Ok(answer) if answer.payload == REPLY_COMMITTED => return Told::Committed,
            Ok(answer) => answer,
            Err(_) => return Told::Later,
        };
        match serde_json::from_slice::<Answer<serde_json::Value>>(&answer.payload) {
            Ok(Answer::Error(problem)) => match problem.kind {
                ProblemKind::Invalid
                | ProblemKind::NotFound
                | ProblemKind::Conflict
                | ProblemKind::TooLarge
                | ProblemKind::Forbidden => Told::Refused(problem),
                ProblemKind::Unavailable | ProblemKind::Internal => Told::Later,
            },
            Ok(Answer::Ok(_)) | Err(_) => Told::Later,
        }
    }
}

impl Envelope {
    fn of(command: &Command) -> Self {
        Self {
            saga_id: command.saga_id,
            step: command.step.clone(),
            operation: command.operation,
            attempt: command.attempt,
            reply_to: command.reply_to.clone(),
        }
    }
}

impl Handle for Commands {
    fn subject(&self) -> String {
        format!("commands of {}", self.server.contract())
    }

    async fn open(&self) -> Result<PullConsumer, NatsError> {
        self.nats.command_consumer(self.server.contract()).await
    }

    async fn handle(&self, message: &Message) -> Ending {
        let mut command = match self.read(&message.payload) {
            Ok(command) => command,
            Err(reason) => return self.put_aside(message, reason).await,
        };
        if redriven_for(message).is_some() {
            command.expires_at = command.expires_at.max(Utc::now() + REDRIVEN_TIME);
        }
        let delivered = message.info().map_or(1, |info| info.delivered);
        let span = info_span!(
            "command",
            saga.id = %command.saga_id,
            saga.definition = command.definition,
            step.name = command.step,
            contract = %command.contract,
            operation = command.operation.as_str(),
            attempt = command.attempt,
        );
        trace::set_parent(&span, message.headers.as_ref());
        let scope = self.scope.of_message(message.headers.as_ref());
        self.serve(&scope, message, command, delivered).instrument(span).await
    }
}

const fn status(result: &StepResult) -> &'static str {
    match result {
        StepResult::Succeeded { .. } => "succeeded",
        StepResult::Failed { .. } => "failed",
        StepResult::Retry { .. } => "retry",
        StepResult::Unknown { .. } => "unknown",
        StepResult::NotHappened => "not_happened",
    }
}
