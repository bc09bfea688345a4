//! Asking over NATS: the owner of a saga's partition, any orchestrator, a context. Every question asked here is idempotent,
//! so one that nobody answers is asked again until patience ends. Who answers that it cannot is believed: silence alone gets a name here.

use std::time::Duration;

use amends_nats::Nats;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{OrchestratorInfo, PartitionStanding};
use amends_schemas::subjects::{self, PartitionVerb};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

/// Longest wait for one answer before the question is asked again: an owner that was killed never answers, its successor
/// does.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before a question is asked again; doubled each time up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(25);

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// Nobody answered.
const SILENCE: [&str; 3] = ["no_responders", "request_timeout", "nats_unavailable"];

/// Who answers is about to give the partition to another.
const PARTITION_LOST: &str = "partition_lost";

/// Asks on behalf of HTTP requests.
#[derive(Debug)]
pub struct Asking {
    nats: Nats,
    orchestrator_patience: Duration,
    context_patience: Duration,
    /// Fixed for a deployment's life, so cached; forgotten on trouble, in case NATS now leads to another deployment.
    partition_count: RwLock<Option<PartitionCount>>,
}

/// How much is left to try, and what came of the last try.
struct Patience {
    until: Instant,
    pause: Duration,
    said: Option<Problem>,
}

impl Patience {
    fn new(duration: Duration) -> Self {
        Self { until: Instant::now() + duration, pause: PAUSE_FIRST, said: None }
    }

    fn attempt_timeout(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).min(ATTEMPT_TIMEOUT)
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// What to give up with when there is no time for one: an answer says more than that later, or in no time, nobody answered.
    async fn after(&mut self, problem: Problem) -> Result<(), Problem> {
        let problem = match self.said.take() {
            Some(said) if is_silence(&problem) && !is_silence(&said) => said,
            Some(_) | None => problem,
        };
        if Instant::now() + self.pause >= self.until {
            return Err(problem);
        }
        self.said = Some(problem);
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

impl Asking {
    /// Asks over `nats`.
    pub fn new(nats: Nats, orchestrator_patience: Duration, context_patience: Duration) -> Self {
        Self { nats, orchestrator_patience, context_patience, partition_count: RwLock::new(None) }
    }

    /// The connection.
    pub const fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Asks the owner of a saga's partition.
    ///
    /// # Errors
    /// The owner's problem, that of a parked saga at once; `orchestrator_unavailable` when nobody answered in time.
    pub async fn owner<Q, A>(&self, saga_id: SagaId, verb: PartitionVerb, question: &Q) -> Result<A, Problem>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let mut patience = Patience::new(self.orchestrator_patience);
        loop {
            let result = match self.partition_count(patience.attempt_timeout()).await {
                Ok(count) => {
                    let subject = subjects::partition(saga_id.partition(count), verb);
                    self.nats.ask(subject, question, patience.attempt_timeout()).await
                }
                Err(problem) => Err(problem),
            };
            match result {
                Err(problem) if problem.may_pass() => {
                    *self.partition_count.write().await = None;
                    patience.after(problem).await.map_err(orchestrator_unavailable)?;
                }
                other => return other,
            }
        }
    }

    /// Asks any orchestrator.
    ///
    /// # Errors
    /// As [`Self::owner`].
    pub async fn orchestrator<Q, A>(&self, subject: &str, question: &Q) -> Result<A, Problem>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        self.persistently(subject, question, self.orchestrator_patience).await.map_err(orchestrator_unavailable)
    }

    /// Asks a context's endpoint.
    ///
    /// # Errors
    /// The context's problem; `<context>_unavailable` when nobody answered in time.
    pub async fn context<Q, A>(&self, context: &str, endpoint: &str, question: &Q) -> Result<A, Problem>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let subject = subjects::context_endpoint(context, endpoint);
        self.persistently(&subject, question, self.context_patience).await.map_err(|problem| {
            named(problem, &format!("{context}_unavailable"), &format!("The {context} context does not answer"))
        })
    }

    async fn persistently<Q, A>(&self, subject: &str, question: &Q, patience: Duration) -> Result<A, Problem>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let mut patience = Patience::new(patience);
        loop {
            match self.nats.ask(subject.to_owned(), question, patience.attempt_timeout()).await {
                Err(problem) if problem.may_pass() => patience.after(problem).await?,
                other => return other,
            }
        }
    }

    /// How many partitions there are; asked once.
    ///
    /// # Errors
    /// What the asking came to.
    pub async fn partition_count(&self, timeout: Duration) -> Result<PartitionCount, Problem> {
        if let Some(count) = *self.partition_count.read().await {
            return Ok(count);
        }
        let info: OrchestratorInfo = self.nats.ask(subjects::ORCHESTRATOR_INFO.to_owned(), &json!({}), timeout).await?;
        *self.partition_count.write().await = Some(info.partition_count);
        Ok(info.partition_count)
    }

    /// How a partition stands; `None` when nobody owns it.
    pub async fn standing(&self, partition: PartitionId, timeout: Duration) -> Option<PartitionStanding> {
        let subject = subjects::partition(partition, PartitionVerb::Standing);
        self.nats.ask(subject, &json!({}), timeout).await.ok()
    }
}

fn is_silence(problem: &Problem) -> bool {
    SILENCE.contains(&problem.code.as_str())
}

/// Says that it was an orchestrator who was silent; what one has answered stays as it is.
fn orchestrator_unavailable(problem: Problem) -> Problem {
    if is_silence(&problem) || problem.code == PARTITION_LOST {
        named(problem, "orchestrator_unavailable", "No orchestrator answers")
    } else {
        problem
    }
}

/// Says who cannot be reached; any other problem stays as it is.
fn named(problem: Problem, code: &str, who: &str) -> Problem {
    if problem.kind == ProblemKind::Unavailable {
        Problem::unavailable(code, format!("{who} at the moment; send the same request again. ({})", problem.message))
    } else {
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_answered_outlives_a_last_try_that_has_no_time() {
        let answer = || Problem::unavailable("store_unavailable", "Some words.");
        let silence = || Problem::unavailable("request_timeout", "no answer within 0ns");
        let mut patience = Patience::new(PAUSE_FIRST * 2);
        patience.after(silence()).await.expect("there is time");
        patience.until = Instant::now() + PAUSE_MAX;
        patience.after(answer()).await.expect("there is time");
        patience.until = Instant::now();
        assert_eq!(patience.after(silence()).await, Err(answer()));
        let mut patience = Patience::new(Duration::ZERO);
        assert_eq!(patience.after(silence()).await, Err(silence()));
    }
}
