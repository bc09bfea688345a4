//! Where bulk operations are begun, looked at and steered. Works beside any number of others on the same store.

use std::sync::Arc;

use amends_schemas::bulk::{
    BULK_CHANGES_MAX, BULK_PER_SECOND_MAX, BULK_REASON_BYTES_MAX, BulkAct, BulkChange, BulkOperation, BulkStatus,
    BulkVerb, CancelAct, ControlBulk, ListBulk, StartBulk,
};
use amends_schemas::ids::BulkId;
use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::operate::OperatorAct;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{ListSagas, Page};
use amends_schemas::search::{Found, SagaFilter, SagaSort};
use chrono::Utc;

use super::ports::{BulkRecord, BulkStore};
use crate::ports::{Store, StoreError};

/// How often a change by hand is tried when the runner writes at the same moment.
const CONTROL_ATTEMPTS_MAX: usize = 16;

/// Takes what people ask of bulk operations.
pub struct BulkDesk {
    /// What filters search.
    pub store: Arc<dyn Store>,
    /// Where operations are kept.
    pub bulks: Arc<dyn BulkStore>,
}

impl BulkDesk {
    /// What a filter finds: how many sagas, and the ones that would come first. Changes nothing.
    ///
    /// # Errors
    /// `invalid_filter`, `filter_required`, `store_unavailable`.
    pub async fn preview(&self, filter: &SagaFilter) -> Result<Found, Problem> {
        check_filter(filter)?;
        let count = self.store.count(filter).await.map_err(told)?;
        let query = ListSagas { filter: filter.clone(), sort: SagaSort::OldestFirst, ..ListSagas::default() };
        let page = self.store.list(&query).await.map_err(told)?;
        Ok(Found { count, items: page.items })
    }

    /// Begins one; the runner goes on with it. Asked again under the same id it is answered as it stands.
    ///
    /// # Errors
    /// What `check` refuses; `bulk_exists` when the id is another operation's.
    pub async fn start(&self, request: StartBulk) -> Result<BulkOperation, Problem> {
        check(&request)?;
        let now = Utc::now();
        // What is accepted from now on is not meant, and an age counts from now, however long it takes.
        let mut filter = request.filter.clone().at(now);
        filter.created_to = Some(filter.created_to.map_or(now, |to| to.min(now)));
        let matched = self.store.count(&filter).await.map_err(told)?;
        let operation = BulkOperation {
            bulk_id: request.bulk_id,
            act: request.act.clone(),
            filter: request.filter.clone(),
            by: request.by.clone(),
            reason: request.reason.clone(),
            per_second: request.per_second,
            status: BulkStatus::Running,
            matched,
            done: 0,
            refused: 0,
            refusals: Vec::new(),
            examples: Vec::new(),
            changes: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let record = BulkRecord { operation, page: Vec::new(), cursor: None, exhausted: false, revision: 1 };
        match self.bulks.create_bulk(&record).await.map_err(told)? {
            None => Ok(record.operation),
            Some(known) if is_same(&known.operation, &request) => Ok(known.operation),
            Some(_) => {
                let text = format!("the bulk operation {} is another one", request.bulk_id);
                Err(Problem::conflict("bulk_exists", text))
            }
        }
    }

    /// One, as it stands.
    ///
    /// # Errors
    /// `bulk_not_found`, `store_unavailable`.
    pub async fn get(&self, bulk_id: BulkId) -> Result<BulkOperation, Problem> {
        self.load(bulk_id).await.map(|record| record.operation)
    }

    /// A page, the latest first.
    ///
    /// # Errors
    /// `invalid_list`, `store_unavailable`.
    pub async fn list(&self, query: &ListBulk) -> Result<Page<BulkOperation>, Problem> {
        self.bulks.list_bulk(query).await.map_err(told)
    }

    /// Pauses, resumes or ends one. What is so already stays so.
    ///
    /// # Errors
    /// `bulk_not_found`; `illegal_here` when it has ended.
    pub async fn control(&self, request: &ControlBulk) -> Result<BulkOperation, Problem> {
        check_text("by", &request.by, REASON_BYTES_MAX)?;
        check_text("reason", &request.reason, REASON_BYTES_MAX)?;
        for _ in 0..CONTROL_ATTEMPTS_MAX {
            let mut record = self.load(request.bulk_id).await?;
            let Some(status) = next_status(record.operation.status, request.verb)? else { return Ok(record.operation) };
            let now = Utc::now();
            let ControlBulk { verb, by, reason, .. } = request.clone();
            let operation = &mut record.operation;
            (operation.status, operation.updated_at) = (status, now);
            operation.changes.push(BulkChange { verb, by, reason, at: now });
            let forgotten = operation.changes.len().saturating_sub(BULK_CHANGES_MAX);
            operation.changes.drain(..forgotten);
            record.revision += 1;
            if self.bulks.replace_bulk(&record).await.map_err(told)? {
                return Ok(record.operation);
            }
        }
        Err(Problem::unavailable("bulk_busy", "the bulk operation changes at this moment; send the same request again"))
    }

    async fn load(&self, bulk_id: BulkId) -> Result<BulkRecord, Problem> {
        let record = self.bulks.load_bulk(bulk_id).await.map_err(told)?;
        record.ok_or_else(|| Problem::not_found("bulk_not_found", format!("there is no bulk operation {bulk_id}")))
    }
}

/// Where a verb leads; `None` when it is so already.
fn next_status(status: BulkStatus, verb: BulkVerb) -> Result<Option<BulkStatus>, Problem> {
    match (status, verb) {
        (BulkStatus::Running, BulkVerb::Pause) => Ok(Some(BulkStatus::Paused)),
        (BulkStatus::Paused, BulkVerb::Resume) => Ok(Some(BulkStatus::Running)),
        (BulkStatus::Running | BulkStatus::Paused, BulkVerb::Cancel) => Ok(Some(BulkStatus::Cancelled)),
        (BulkStatus::Running, BulkVerb::Resume)
        | (BulkStatus::Paused, BulkVerb::Pause)
        | (BulkStatus::Cancelled, BulkVerb::Cancel) => Ok(None),
        (BulkStatus::Done, _) | (BulkStatus::Cancelled, BulkVerb::Pause | BulkVerb::Resume) => {
            let text = format!("a bulk operation that is {} cannot be asked to {}", status.as_str(), verb.as_str());
            Err(Problem::conflict("illegal_here", text))
        }
    }
}

/// Whether an operation is what this request began.
fn is_same(operation: &BulkOperation, request: &StartBulk) -> bool {
    operation.act == request.act
        && operation.filter == request.filter
        && operation.by == request.by
        && operation.reason == request.reason
        && operation.per_second == request.per_second
}

fn check(request: &StartBulk) -> Result<(), Problem> {
    check_filter(&request.filter)?;
    check_text("by", &request.by, REASON_BYTES_MAX)?;
    check_text("reason", &request.reason, BULK_REASON_BYTES_MAX)?;
    if request.reason.trim().is_empty() {
        return Err(Problem::invalid("reason_required", "many sagas at once need a reason, for each one's history"));
    }
    if !(1..=BULK_PER_SECOND_MAX).contains(&request.per_second) {
        return Err(Problem::invalid("invalid_rate", format!("per_second is from 1 to {BULK_PER_SECOND_MAX}")));
    }
    match &request.act {
        BulkAct::Operate(OperatorAct::Terminate { force: false }) => {
            Err(Problem::invalid("force_required", "sagas end without amends only when `force` is true"))
        }
        BulkAct::Operate(OperatorAct::EditInput { .. }) => {
            Err(Problem::invalid("invalid_act", "the input of a step is edited saga by saga: each has its own"))
        }
        BulkAct::Operate(
            OperatorAct::Pause
            | OperatorAct::Resume
            | OperatorAct::Retry { .. }
            | OperatorAct::RetryFrom { .. }
            | OperatorAct::Skip { .. }
            | OperatorAct::Resolve { .. }
            | OperatorAct::Terminate { force: true },
        )
        | BulkAct::Cancel(CancelAct::Cancel {}) => Ok(()),
    }
}

/// Without a criterion every saga that ever was would be meant, which nobody does on purpose.
fn check_filter(filter: &SagaFilter) -> Result<(), Problem> {
    filter.check().map_err(|error| Problem::invalid("invalid_filter", error.to_string()))?;
    if *filter == SagaFilter::default() {
        return Err(Problem::invalid("filter_required", "say which sagas are meant, by at least one criterion"));
    }
    Ok(())
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), Problem> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Problem::invalid("invalid_reason", format!("`{what}` has at most {most} bytes")))
}

/// What the store said, to whoever asked.
fn told(error: StoreError) -> Problem {
    match error {
        StoreError::Invalid(message) => Problem::invalid("invalid_list", message),
        StoreError::Unavailable(_) => {
            tracing::warn!(%error, "bulk operations cannot be reached");
            Problem::unavailable("store_unavailable", "the database cannot answer")
        }
        StoreError::Fenced { .. }
        | StoreError::Damaged(_)
        | StoreError::Unread(_)
        | StoreError::PartitionCount { .. } => {
            tracing::error!(%error, "bulk operations cannot be read");
            Problem::internal("bulk_failed", "the bulk operation cannot be read")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_goes_where_its_verbs_lead() {
        use BulkStatus::{Cancelled, Done, Paused, Running};
        use BulkVerb::{Cancel, Pause, Resume};
        for (from, verb, to) in [
            (Running, Pause, Ok(Some(Paused))),
            (Running, Resume, Ok(None)),
            (Running, Cancel, Ok(Some(Cancelled))),
            (Paused, Pause, Ok(None)),
            (Paused, Resume, Ok(Some(Running))),
            (Paused, Cancel, Ok(Some(Cancelled))),
            (Cancelled, Cancel, Ok(None)),
            (Cancelled, Resume, Err("illegal_here")),
            (Done, Cancel, Err("illegal_here")),
            (Done, Pause, Err("illegal_here")),
        ] {
            let found = next_status(from, verb);
            assert_eq!(
                found.as_ref().map_err(|problem| problem.code.as_str()),
                to.as_ref().map_err(|code| *code),
                "{from:?} {verb:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_begun_is_named() {
        let sound = StartBulk {
            bulk_id: BulkId::generate(),
            act: BulkAct::Operate(OperatorAct::Retry { step: None }),
            filter: SagaFilter { error: Some("x".into()), ..SagaFilter::default() },
            by: "ann".into(),
            reason: "the gateway is back".into(),
            per_second: 10,
        };
        assert!(check(&sound).is_ok());
        let terminate = |force| BulkAct::Operate(OperatorAct::Terminate { force });
        let edit = BulkAct::Operate(OperatorAct::EditInput { step: None, input: serde_json::Value::Null });
        assert!(check(&StartBulk { act: terminate(true), ..sound.clone() }).is_ok());
        for (wrong, code) in [
            (StartBulk { act: terminate(false), ..sound.clone() }, "force_required"),
            (StartBulk { act: edit, ..sound.clone() }, "invalid_act"),
            (StartBulk { reason: " ".into(), ..sound.clone() }, "reason_required"),
            (StartBulk { reason: "x".repeat(BULK_REASON_BYTES_MAX + 1), ..sound.clone() }, "invalid_reason"),
            (StartBulk { by: "x".repeat(REASON_BYTES_MAX + 1), ..sound.clone() }, "invalid_reason"),
            (StartBulk { filter: SagaFilter::default(), ..sound.clone() }, "filter_required"),
            (
                StartBulk { filter: SagaFilter { version: Some(1), ..SagaFilter::default() }, ..sound.clone() },
                "invalid_filter",
            ),
            (StartBulk { per_second: 0, ..sound.clone() }, "invalid_rate"),
            (StartBulk { per_second: BULK_PER_SECOND_MAX + 1, ..sound }, "invalid_rate"),
        ] {
            assert_eq!(check(&wrong).expect_err("wrong").code, code);
        }
    }
}
