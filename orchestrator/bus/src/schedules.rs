//! What any orchestrator answers about schedules.

use std::sync::Arc;
use std::time::Duration;

use amends_engine::schedules::ScheduleDesk;
use amends_nats::{Nats, trace};
use amends_schemas::problem::Problem;
use amends_schemas::schedule::{CreateSchedule, ListSchedules, OperateSchedule, ScheduleRef};
use amends_schemas::subjects::{ORCHESTRATOR_GROUP, SCHEDULE_CREATE, SCHEDULE_GET, SCHEDULE_LIST, SCHEDULE_OPERATE};
use async_nats::Message;
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::answers::answer;

/// Questions answered at once by each endpoint: people ask them.
const QUESTIONS_AT_ONCE: usize = 8;

/// Wait before a subscription that ended is made again.
const SUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// Answers for schedules in one orchestrator.
pub struct ScheduleEndpoints {
    /// Where questions come from.
    pub nats: Nats,
    /// Who knows.
    pub desk: ScheduleDesk,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
    Create,
    Get,
    List,
    Operate,
}

impl Question {
    const fn subject(self) -> &'static str {
        match self {
            Question::Create => SCHEDULE_CREATE,
            Question::Get => SCHEDULE_GET,
            Question::List => SCHEDULE_LIST,
            Question::Operate => SCHEDULE_OPERATE,
        }
    }
}

impl ScheduleEndpoints {
    /// Answers for ever.
    pub async fn run(self) {
        let shared = Arc::new(self);
        tokio::join!(
            Arc::clone(&shared).serve(Question::Create),
            Arc::clone(&shared).serve(Question::Get),
            Arc::clone(&shared).serve(Question::List),
            Arc::clone(&shared).serve(Question::Operate),
        );
    }

    async fn serve(self: Arc<Self>, question: Question) {
        let at_once = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        let subject = question.subject();
        loop {
            match self.nats.client().queue_subscribe(subject, ORCHESTRATOR_GROUP.to_owned()).await {
                Ok(mut messages) => {
                    while let Some(message) = messages.next().await {
                        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
                        let endpoints = Arc::clone(&self);
                        tokio::spawn(async move {
                            endpoints.respond(question, message).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => tracing::warn!(subject, %error, "an endpoint cannot be served"),
            }
            tokio::time::sleep(SUBSCRIBE_DELAY).await;
        }
    }

    async fn respond(&self, question: Question, message: Message) {
        let Some(reply) = message.reply.clone() else { return };
        let answered = match question {
            Question::Create => {
                reply_to(&message, async |request: CreateSchedule| self.desk.create(&request).await).await
            }
            Question::Get => reply_to(&message, async |which: ScheduleRef| self.desk.get(&which.name).await).await,
            Question::List => reply_to(&message, async |query: ListSchedules| self.desk.list(&query).await).await,
            Question::Operate => {
                let traceparent = trace::traceparent(message.headers.as_ref());
                reply_to(&message, async |request: OperateSchedule| self.desk.operate(&request, traceparent).await)
                    .await
            }
        };
        if let Err(error) = self.nats.client().publish(reply, answered).await {
            tracing::debug!(%error, "an answer cannot be published");
        }
    }
}

/// Reads the question, has it answered, and writes the answer.
async fn reply_to<Q: DeserializeOwned, A: Serialize>(
    message: &Message,
    desk: impl AsyncFnOnce(Q) -> Result<A, Problem>,
) -> Bytes {
    match serde_json::from_slice(&message.payload) {
        Ok(question) => answer(desk(question).await),
        Err(error) => answer(Err::<(), _>(Problem::invalid("malformed_request", error.to_string()))),
    }
}
