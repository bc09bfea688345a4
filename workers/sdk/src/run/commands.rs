//! Commands of one contract: served, answered to the saga's owner, acknowledged only once the owner has the answer in its journal.

use std::sync::Arc;
use std::time::Duration;

use amends_nats::topology::PullConsumer;
use amends_nats::{Nats, NatsError, trace};
use amends_schemas::command::{Command, REPLY_COMMITTED, Reply, StepResult, idempotency_key};
use async_nats::Request;
use async_nats::jetstream::Message;
use chrono::Utc;
use tracing::{Instrument, info_span};

use super::dead_letter::bury;
use super::pull::{Ending, Handle, redelivery_delay};
use crate::scope::Scope;
use crate::serve::{ServeStep, Served, serve_command};

/// How long the owner may take to commit a reply. It commits within milliseconds, or is not there.
const REPLY_TIME_MAX: Duration = Duration::from_secs(4);

/// First delay of a command that could not be answered.
const REDELIVERY_MIN: Duration = Duration::from_millis(100);

/// Longest delay: what a saga waits at most after its owner has come back.
const REDELIVERY_MAX: Duration = Duration::from_secs(2);

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
        if command.key != idempotency_key(command.saga_id, &command.step, command.operation) {
            return Err("the idempotency key is not that of the saga, step and operation".to_owned());
        }
        if command.reply_to.is_empty() {
            return Err("it says not where to reply".to_owned());
        }
        Ok(command)
    }

    async fn serve(&self, scope: &Scope, command: Command, delivered: i64) -> Ending {
        let command = Arc::new(command);
        let later = || Ending::Nak(redelivery_delay(delivered, REDELIVERY_MIN, REDELIVERY_MAX));
        let result = match serve_command(scope, &self.server, &command).await {
            Served::Answer(result) => result,
            // Within the attempt's time the trouble may pass; after it the orchestrator shall at least know what is wrong.
            Served::Later(_) if Utc::now() < command.expires_at => return later(),
            Served::Later(error) => StepResult::Unknown { error },
        };
        let status = status(&result);
        if self.reply(scope, &command, result).await {
            tracing::debug!(status, "answered");
            Ending::Ack
        } else {
            tracing::debug!(status, delivered, "the answer was not taken; answering again later");
            later()
        }
    }

    /// Whether the owner has it.
    async fn reply(&self, scope: &Scope, command: &Command, result: StepResult) -> bool {
        let reply = Reply {
            saga_id: command.saga_id,
            step: command.step.clone(),
            operation: command.operation,
            attempt: command.attempt,
            result,
        };
        let payload = serde_json::to_vec(&reply).expect("a reply has string keys only");
        let request = Request::new().payload(payload.into()).headers(scope.headers()).timeout(Some(REPLY_TIME_MAX));
        match self.nats.client().send_request(command.reply_to.clone(), request).await {
            Ok(answer) => answer.payload == REPLY_COMMITTED,
            Err(_) => false,
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
        let command = match self.read(&message.payload) {
            Ok(command) => command,
            Err(reason) => return bury(&self.scope, message, "malformed_command", &reason).await,
        };
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
        self.serve(&scope, command, delivered).instrument(span).await
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
