//! Messages that contexts could not handle: listed over all contexts, shown, published again, settled.

use std::time::Duration;

use amends_schemas::contract::is_plain_name;
use amends_schemas::dead_letter::{
    ActOnDeadLetter, DeadLetter, DeadLetterActed, DeadLetterRef, DeadLetterStatus, DeadLetterVerb, LIST,
    ListDeadLetters, SHOW,
};
use amends_schemas::presence::WorkersView;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::Page;
use amends_schemas::subjects::{self, ORCHESTRATOR_WORKERS};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

use crate::documents::{DeadLetterActedDocument, DeadLetterDocument, DeadLetterStatusDocument, DeadLettersDocument};
use crate::extract::{OptionalJsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::{ApiProblem, ProblemDocument};
use crate::routes::operate::explain;
use crate::routes::paging::page;
use crate::routes::sagas::CancelRequest;
use crate::state::{Api, Outcome, ok};

/// Longest wait for one context's page when all are asked: one that does not answer is named, the others are listed.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

/// Between the context and its own cursor; no context's name has one.
const SEPARATOR: char = '.';

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterQuery {
    /// Only of this context.
    context: Option<String>,
    /// Only with this status; `dead` unless given.
    #[param(inline)]
    status: Option<DeadLetterStatusDocument>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Letters {
    items: Vec<DeadLetter>,
    next_cursor: Option<String>,
    unanswered: Vec<String>,
}

/// List messages that could not be handled, context by context, newest first.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "operations", params(DeadLetterQuery),
    responses((status = 200, description = "A page", body = DeadLettersDocument)))]
pub async fn list_dead_letters(State(api): State<Api>, QueryOf(query): QueryOf<DeadLetterQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let (from, mut cursor) = match cursor.as_deref().map(|cursor| cursor.split_once(SEPARATOR)) {
        None => (String::new(), None),
        Some(Some((context, inner))) => (context.to_owned(), (!inner.is_empty()).then(|| inner.to_owned())),
        Some(None) => {
            return Err(ApiProblem::bad_request("invalid_query", "cursor is not one that was given out here."));
        }
    };
    let status = match query.status.unwrap_or(DeadLetterStatusDocument::Dead) {
        DeadLetterStatusDocument::Dead => DeadLetterStatus::Dead,
        DeadLetterStatusDocument::Redriven => DeadLetterStatus::Redriven,
        DeadLetterStatusDocument::Discarded => DeadLetterStatus::Discarded,
    };
    if let Some(context) = query.context {
        let context = known(context)?;
        let question = ListDeadLetters { status: Some(status), cursor, limit: Some(limit) };
        let Page { items, next_cursor }: Page<DeadLetter> = api.asking.context(&context, LIST, &question).await?;
        let next_cursor = next_cursor.map(|inner| format!("{context}{SEPARATOR}{inner}"));
        return ok(Letters { items, next_cursor, unanswered: Vec::new() });
    }
    let mut letters = Letters { items: Vec::new(), next_cursor: None, unanswered: Vec::new() };
    for context in contexts(&api).await?.into_iter().filter(|context| *context >= from) {
        if letters.items.len() == limit {
            letters.next_cursor = Some(format!("{context}{SEPARATOR}"));
            break;
        }
        // Only of the context where the last page ended.
        let inner = cursor.take().filter(|_| context == from);
        let question =
            ListDeadLetters { status: Some(status), cursor: inner, limit: Some(limit - letters.items.len()) };
        let subject = subjects::context_endpoint(&context, LIST);
        match api.asking.nats().ask::<_, Page<DeadLetter>>(subject, &question, ANSWER_TIMEOUT).await {
            Ok(found) => {
                letters.items.extend(found.items);
                if let Some(inner) = found.next_cursor {
                    letters.next_cursor = Some(format!("{context}{SEPARATOR}{inner}"));
                    break;
                }
            }
            Err(problem) if problem.kind == ProblemKind::Unavailable => letters.unanswered.push(context),
            Err(problem) => return Err(problem.into()),
        }
    }
    ok(letters)
}

/// Show one dead letter with its payload and what was done with it.
#[utoipa::path(get, path = "/v1/dead-letters/{context}/{id}", tag = "operations",
    params(("context" = String, Path, description = "Whose"), ("id" = String, Path, description = "Which")),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterDocument),
        (status = 404, description = "`dead_letter_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_dead_letter(State(api): State<Api>, PathOf((context, id)): PathOf<(String, String)>) -> Outcome {
    let letter: DeadLetter = api.asking.context(&known(context)?, SHOW, &DeadLetterRef { id }).await?;
    ok(letter)
}

/// Publish a message again that could not be handled, for its context alone, once its cause is gone. What it asks for is done once
/// however often it comes.
#[utoipa::path(post, path = "/v1/dead-letters/{context}/{id}/redrive", tag = "operations",
    params(("context" = String, Path, description = "Whose"), ("id" = String, Path, description = "Which"),
        IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is published", body = DeadLetterActedDocument),
        (status = 404, description = "`dead_letter_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `not_redrivable`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn redrive_dead_letter(
    State(api): State<Api>,
    PathOf(path): PathOf<(String, String)>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    act(&api, path, &key, request, DeadLetterVerb::Redrive).await
}

/// Settle a message for good that could not be handled. Needs a reason.
#[utoipa::path(post, path = "/v1/dead-letters/{context}/{id}/discard", tag = "operations",
    params(("context" = String, Path, description = "Whose"), ("id" = String, Path, description = "Which"),
        IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is settled", body = DeadLetterActedDocument),
        (status = 404, description = "`dead_letter_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn discard_dead_letter(
    State(api): State<Api>,
    PathOf(path): PathOf<(String, String)>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    act(&api, path, &key, request, DeadLetterVerb::Discard).await
}

async fn act(
    api: &Api,
    (context, id): (String, String),
    key: &IdempotencyKey,
    request: CancelRequest,
    verb: DeadLetterVerb,
) -> Outcome {
    let (by, reason) = request.checked()?;
    let context = known(context)?;
    let operation_id = key.id(&format!("POST /v1/dead-letters/{context}/{id}/{}", verb.as_str()));
    let question = ActOnDeadLetter { id, operation_id, by, reason };
    let acted: DeadLetterActed = api.asking.context(&context, verb.endpoint(), &question).await.map_err(explain)?;
    ok(acted)
}

/// A context's name as it can stand in a subject.
fn known(context: String) -> Result<String, Problem> {
    if is_plain_name(&context) {
        return Ok(context);
    }
    let name: String = context.chars().take(64).collect();
    Err(Problem::not_found("context_not_found", format!("{name} is no context's name.")))
}

/// Every context that is called by a definition or that serves, by name.
async fn contexts(api: &Api) -> Result<Vec<String>, Problem> {
    let workers: WorkersView = api.asking.orchestrator(ORCHESTRATOR_WORKERS, &json!({})).await?;
    let mut contexts: Vec<String> = workers.items.into_iter().map(|item| item.context).collect();
    contexts.retain(|context| is_plain_name(context));
    contexts.dedup();
    Ok(contexts)
}
