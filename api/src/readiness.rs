//! Whether requests can be served: NATS is connected, every partition has an owner, every context is served.

use std::time::Duration;

use amends_schemas::ids::{PartitionCount, PartitionId};
use amends_schemas::problem::ProblemKind;
use amends_schemas::saga::PartitionStanding;
use async_nats::connection::State;
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::state::Api;

/// Longest wait for one answer. Probes wait about a second themselves.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);

/// How long a look is good for: however often it is asked, the system is asked this often.
const LOOK_AGE_MAX: Duration = Duration::from_millis(500);

/// Partitions and contexts asked at once.
const ASKED_AT_ONCE: usize = 32;

/// Each context, and a question it can answer without effect.
const CONTEXTS: [(&str, &str); 5] = [
    ("events", "list"),
    ("registration", "list"),
    ("payment", "list"),
    ("billing", "list-invoices"),
    ("notification", "list"),
];

/// What is ready.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether all is.
    pub ready: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// Sagas that wait for a binary that understands them, in words. The others are served, so this alone does not make unready.
    pub parked: Vec<String>,
}

/// A look and when it was taken.
#[derive(Debug)]
pub struct Measured {
    readiness: Readiness,
    at: Instant,
}

/// Looks, or tells of the last look if it is recent. Those who ask while one looks wait for that look.
pub async fn look(api: &Api) -> Readiness {
    let mut last = api.readiness.lock().await;
    if let Some(measured) = last.as_ref().filter(|measured| measured.at.elapsed() < LOOK_AGE_MAX) {
        return measured.readiness.clone();
    }
    let (missing, parked) = seen(api).await;
    let readiness = Readiness { ready: missing.is_empty(), missing, parked };
    *last = Some(Measured { readiness: readiness.clone(), at: Instant::now() });
    readiness
}

/// What is missing, and which sagas are parked.
async fn seen(api: &Api) -> (Vec<String>, Vec<String>) {
    if api.shutdown.is_cancelled() {
        return (vec!["this process is shutting down".to_owned()], Vec::new());
    }
    if api.asking.nats().client().connection_state() != State::Connected {
        return (vec!["NATS is not connected".to_owned()], Vec::new());
    }
    let ((mut missing, parked), contexts) = tokio::join!(partitions(api), missing_contexts(api));
    missing.extend(contexts);
    (missing, parked)
}

/// Partitions without an owner, and what is parked in the others.
async fn partitions(api: &Api) -> (Vec<String>, Vec<String>) {
    let count: PartitionCount = match api.asking.partition_count(ANSWER_TIMEOUT).await {
        Ok(count) => count,
        Err(_) => return (vec!["no orchestrator answers".to_owned()], Vec::new()),
    };
    let standings: Vec<(PartitionId, Option<PartitionStanding>)> = futures::stream::iter(count.iter())
        .map(|partition| async move { (partition, api.asking.standing(partition, ANSWER_TIMEOUT).await) })
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    let (mut missing, mut parked) = (Vec::new(), Vec::new());
    for (partition, standing) in standings {
        match standing {
            None => missing.push(format!("partition {partition} has no owner")),
            Some(standing) => parked.extend(parked_sentences(&standing)),
        }
    }
    (missing, parked)
}

fn parked_sentences(standing: &PartitionStanding) -> impl Iterator<Item = String> {
    let more = standing.parked_count.saturating_sub(standing.parked.len());
    let named = standing.parked.iter().map(|saga| {
        format!("saga {} of {} is parked: {}", saga.saga_id, saga.definition, saga.reason.trim_end_matches('.'))
    });
    named.chain((more > 0).then(|| format!("{more} more sagas are parked"))).collect::<Vec<_>>().into_iter()
}

async fn missing_contexts(api: &Api) -> Vec<String> {
    let answers = CONTEXTS.map(|(context, endpoint)| async move {
        let subject = amends_schemas::subjects::context_endpoint(context, endpoint);
        let question = json!({"limit": 1});
        // Even a refusal of the question is an answer.
        match api.asking.nats().ask::<_, Value>(subject, &question, ANSWER_TIMEOUT).await {
            Err(problem) if problem.kind == ProblemKind::Unavailable => {
                Some(format!("context {context} does not answer"))
            }
            Ok(_) | Err(_) => None,
        }
    });
    futures::future::join_all(answers).await.into_iter().flatten().collect()
}
