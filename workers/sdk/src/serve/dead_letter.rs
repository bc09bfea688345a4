//! What every context answers about its dead letters: it lists and shows them, publishes one again, or settles it for good.

use amends_nats::{Nats, NatsError, trace};
use amends_schemas::dead_letter::{
    ACTS_KEPT_MAX, ActOnDeadLetter, DISCARD, DeadLetter, DeadLetterAct, DeadLetterActed, DeadLetterRef,
    DeadLetterStatus, DeadLetterVerb, EXCERPT_BYTES_MAX, LIST, ListDeadLetters, REDRIVE, REDRIVEN_HEADER, SHOW,
    SHOWN_BYTES_MAX,
};
use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use async_nats::HeaderMap;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::CONFLICT_ATTEMPTS_MAX;
use crate::dead_letters::{self, Act, REDRIVE_AGAIN_MAX, Row};
use crate::endpoint::{Endpoint, EndpointError};
use crate::paging::Paging;
use crate::work::UnitOfWork;

/// A page of them.
pub(crate) struct ListLetters(pub(crate) &'static str);

impl Endpoint for ListLetters {
    const NAME: &'static str = LIST;
    type Request = ListDeadLetters;
    type Response = Page<DeadLetter>;

    async fn handle(&self, work: &mut UnitOfWork, request: ListDeadLetters) -> Result<Page<DeadLetter>, EndpointError> {
        let question = json!([LIST, self.0, request.status]);
        let paging = Paging::new(&question, request.cursor.as_deref(), request.limit)?;
        let rows = dead_letters::page(work.database(), request.status, paging.before(), paging.row_limit()).await?;
        let page = paging.page(rows, |row: &Row| row.id.clone());
        let items = page.items.into_iter().map(|row| row.shown(self.0, EXCERPT_BYTES_MAX)).collect();
        Ok(Page { items, next_cursor: page.next_cursor })
    }
}

/// One of them.
pub(crate) struct ShowLetter(pub(crate) &'static str);

impl Endpoint for ShowLetter {
    const NAME: &'static str = SHOW;
    type Request = DeadLetterRef;
    type Response = DeadLetter;

    async fn handle(&self, work: &mut UnitOfWork, request: DeadLetterRef) -> Result<DeadLetter, EndpointError> {
        Ok(find(work, self.0, &request.id).await?.shown(self.0, SHOWN_BYTES_MAX))
    }
}

/// Publishes one again.
///
/// That it shall be is recorded first and alone; then it is published under an id made of the operation's. Whoever does not get the
/// answer asks again, and it is published if it was not. A handler that sees the message twice answers from its inbox.
pub(crate) struct RedriveLetter {
    pub(crate) context: &'static str,
    pub(crate) nats: Nats,
}

impl Endpoint for RedriveLetter {
    const NAME: &'static str = REDRIVE;
    type Request = ActOnDeadLetter;
    type Response = DeadLetterActed;

    async fn handle(&self, work: &mut UnitOfWork, request: ActOnDeadLetter) -> Result<DeadLetterActed, EndpointError> {
        let (row, act) = act_on(work, self.context, DeadLetterVerb::Redrive, &request).await?;
        if !act.done {
            self.publish(&row, request.operation_id).await?;
            done(work, self.context, &request).await?;
        }
        Ok(acted(self.context, &request, &act))
    }
}

impl RedriveLetter {
    async fn publish(&self, row: &Row, operation_id: Uuid) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        trace::with_traceparent(&mut headers, row.traceparent.as_deref());
        headers.insert(REDRIVEN_HEADER, format!("{}/{}", self.context, row.id).as_str());
        let message_id = format!("redriven/{}/{operation_id}", self.context);
        let payload = row.payload.clone().into_bytes().into();
        self.nats.publish_acked(&row.subject, &message_id, headers, payload).await.map_err(|error| match error {
            NatsError::Refused(reason) => Problem::conflict("not_redrivable", format!("NATS refuses it: {reason}")),
            NatsError::Unavailable(_) | NatsError::TopologyMissing(_) => Problem::unavailable(
                "nats_unavailable",
                "NATS does not take it; ask again under the same operation id.",
            ),
        })
    }
}

/// Settles one for good.
pub(crate) struct DiscardLetter(pub(crate) &'static str);

impl Endpoint for DiscardLetter {
    const NAME: &'static str = DISCARD;
    type Request = ActOnDeadLetter;
    type Response = DeadLetterActed;

    async fn handle(&self, work: &mut UnitOfWork, request: ActOnDeadLetter) -> Result<DeadLetterActed, EndpointError> {
        if request.reason.trim().is_empty() {
            return Err(Problem::invalid("reason_required", "`discard` needs a reason").into());
        }
        let (_, act) = act_on(work, self.0, DeadLetterVerb::Discard, &request).await?;
        Ok(acted(self.0, &request, &act))
    }
}

async fn find(work: &UnitOfWork, context: &str, id: &str) -> Result<Row, EndpointError> {
    let found = dead_letters::find(work.database(), id).await?;
    found.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        Problem::not_found("dead_letter_not_found", format!("context {context} has no dead letter {id}")).into()
    })
}

/// Records an act, or finds it recorded. Answers the letter as it stood when the act was found or recorded.
async fn act_on(
    work: &UnitOfWork,
    context: &str,
    verb: DeadLetterVerb,
    request: &ActOnDeadLetter,
) -> Result<(Row, Act), EndpointError> {
    if request.by.len() > REASON_BYTES_MAX || request.reason.len() > REASON_BYTES_MAX {
        let message = format!("`reason` and `by` have at most {REASON_BYTES_MAX} bytes each");
        return Err(Problem::invalid("reason_too_long", message).into());
    }
    let told = DeadLetterAct {
        operation_id: request.operation_id,
        verb,
        by: request.by.clone(),
        reason: request.reason.clone(),
        at: work.now(),
    };
    let status = match verb {
        DeadLetterVerb::Redrive => DeadLetterStatus::Redriven,
        DeadLetterVerb::Discard => DeadLetterStatus::Discarded,
    };
    for _ in 0..CONFLICT_ATTEMPTS_MAX {
        let row = find(work, context, &request.id).await?;
        if let Some(known) = row.acts.iter().find(|act| act.told.operation_id == request.operation_id) {
            let same = DeadLetterAct { at: known.told.at, ..told.clone() } == known.told;
            let known = known.clone();
            return if same { Ok((row, known)) } else { Err(reused().into()) };
        }
        may(&row, verb, work.now())?;
        // A discard is done with its record.
        let act = Act { told: told.clone(), done: verb == DeadLetterVerb::Discard };
        let mut acts = row.acts.clone();
        acts.push(act.clone());
        acts.drain(..acts.len().saturating_sub(ACTS_KEPT_MAX));
        if dead_letters::change(work.database(), &row, status, &acts).await? {
            tracing::info!(context, dead_letter = row.id, verb = verb.as_str(), "an operator acts on a dead letter");
            return Ok((row, act));
        }
    }
    Err(busy().into())
}

/// Notes that an act is done.
async fn done(work: &UnitOfWork, context: &str, request: &ActOnDeadLetter) -> Result<(), EndpointError> {
    for _ in 0..CONFLICT_ATTEMPTS_MAX {
        let row = find(work, context, &request.id).await?;
        let mut acts = row.acts.clone();
        for act in acts.iter_mut().filter(|act| act.told.operation_id == request.operation_id) {
            act.done = true;
        }
        if dead_letters::change(work.database(), &row, row.status, &acts).await? {
            return Ok(());
        }
    }
    Err(busy().into())
}

fn may(row: &Row, verb: DeadLetterVerb, now: DateTime<Utc>) -> Result<(), Problem> {
    let last = row.acts.last().map_or(now, |act| act.told.at);
    if verb == DeadLetterVerb::Redrive
        && row.status == DeadLetterStatus::Redriven
        && (now - last).to_std().unwrap_or_default() > REDRIVE_AGAIN_MAX
    {
        let message = format!("It was published again at {last}; whoever handled it may have forgotten that by now.");
        return Err(Problem::conflict("illegal_here", message));
    }
    match (verb, row.status) {
        (DeadLetterVerb::Redrive, DeadLetterStatus::Dead | DeadLetterStatus::Redriven) if !row.whole => {
            Err(Problem::conflict("not_redrivable", "It was no text, so it was no message of ours; discard it."))
        }
        (DeadLetterVerb::Redrive, DeadLetterStatus::Dead | DeadLetterStatus::Redriven)
        | (DeadLetterVerb::Discard, DeadLetterStatus::Dead) => Ok(()),
        (DeadLetterVerb::Redrive, DeadLetterStatus::Discarded)
        | (DeadLetterVerb::Discard, DeadLetterStatus::Redriven | DeadLetterStatus::Discarded) => {
            let (verb, status) = (verb.as_str(), row.status.as_str());
            Err(Problem::conflict("illegal_here", format!("`{verb}` is not possible: it is {status}")))
        }
    }
}

fn reused() -> Problem {
    Problem::conflict("operation_id_reused", "this operation id was used before with another content")
}

fn busy() -> Problem {
    Problem::unavailable("write_conflict", "Others change the same dead letter at this moment; ask again.")
}

fn acted(context: &str, request: &ActOnDeadLetter, act: &Act) -> DeadLetterActed {
    DeadLetterActed {
        context: context.to_owned(),
        id: request.id.clone(),
        operation_id: request.operation_id,
        verb: act.told.verb,
        at: act.told.at,
    }
}
