//! One bulk operation on its way: page by page, each saga at its turn.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::bulk::{BULK_EXAMPLES_MAX, BulkAct, BulkOperation, BulkStatus, CancelAct, Refusal, RefusalCount};
use amends_schemas::ids::{BulkId, SagaId};
use amends_schemas::operate::OperateSaga;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, ListSagas};
use amends_schemas::search::{SagaFilter, SagaSort};
use chrono::Utc;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ports::{BulkRecord, BulkStore, Operators};
use crate::dispatcher::longer;
use crate::ports::{Store, StoreError};

/// Sagas of one page: what is written down before it is done, and done again after a crash.
const PAGE_SAGAS: usize = 100;

/// Sagas being operated at once: hides the wait for each partition's commit.
const SAGAS_AT_ONCE: usize = 16;

/// How often progress is written, and pausing noticed.
const PROGRESS: Duration = Duration::from_millis(500);

/// Lists lag behind by up to twice the projection's interval: sagas accepted just before the operation began must be among them.
const VIEW_SETTLE: Duration = Duration::from_secs(1);

/// First and longest wait before a partition that nobody owns at the moment is asked again.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How often writing is tried when somebody steers at the same moment.
const WRITE_ATTEMPTS_MAX: usize = 16;

/// Codes by which refusals are counted; what comes with further ones is counted as `other`.
const CODES_MAX: usize = 50;

/// An operation and all it needs.
pub(super) struct Course {
    pub(super) store: Arc<dyn Store>,
    pub(super) bulks: Arc<dyn BulkStore>,
    pub(super) operators: Arc<dyn Operators>,
    /// As it was last written.
    pub(super) record: BulkRecord,
}

/// Why a course ended before its operation came to rest.
#[derive(Debug)]
pub(super) enum Lost {
    /// The database did not do it.
    Store(StoreError),
    /// Another process has gone on with it.
    Elsewhere,
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What became of one saga.
struct Outcome {
    saga_id: SagaId,
    refused: Option<Problem>,
}

impl Course {
    /// Goes on until there is nothing more to do, or somebody wants it to stop.
    pub(super) async fn run(mut self) -> Result<BulkOperation, Lost> {
        let age = (Utc::now() - self.record.operation.created_at).to_std().unwrap_or_default();
        tokio::time::sleep(VIEW_SETTLE.saturating_sub(age)).await;
        let mut pace = interval(Duration::from_secs(1) / self.record.operation.per_second.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.record.is_running() {
            if !self.record.page.is_empty() {
                self.work(&mut pace).await?;
            } else if self.record.exhausted {
                let mut done = self.record.clone();
                done.operation.status = BulkStatus::Done;
                self.write(done).await?;
            } else {
                self.turn_page().await?;
            }
        }
        Ok(self.record.operation)
    }

    /// Writes down which sagas come next.
    async fn turn_page(&mut self) -> Result<(), Lost> {
        let query = |cursor: Option<String>| ListSagas {
            filter: frozen(&self.record.operation),
            sort: SagaSort::OldestFirst,
            cursor,
            limit: Some(PAGE_SAGAS),
        };
        let page = match self.store.list(&query(self.record.cursor.clone())).await {
            // A version that reads cursors in another way gave it: to begin anew does nothing twice.
            Err(StoreError::Invalid(_)) if self.record.cursor.is_some() => self.store.list(&query(None)).await,
            answered => answered,
        }?;
        let mut next = self.record.clone();
        next.page = page.items.iter().map(|saga| saga.saga_id).collect();
        next.exhausted = page.next_cursor.is_none();
        next.cursor = page.next_cursor;
        self.write(next).await
    }

    /// Has the sagas of the page operated; when somebody wants it to stop, only those that are being operated already.
    async fn work(&mut self, pace: &mut Interval) -> Result<(), Lost> {
        let halt = CancellationToken::new();
        let operating = Operating {
            operators: Arc::clone(&self.operators),
            operation: Arc::new(self.record.operation.clone()),
            halt: halt.clone(),
        };
        let mut page = self.record.page.clone().into_iter();
        let mut asked = FuturesUnordered::new();
        let mut known: Vec<Outcome> = Vec::new();
        let mut progress = interval(PROGRESS);
        progress.tick().await;
        while !asked.is_empty() || (!halt.is_cancelled() && !page.as_slice().is_empty()) {
            let more = !halt.is_cancelled() && !page.as_slice().is_empty() && asked.len() < SAGAS_AT_ONCE;
            tokio::select! {
                _ = pace.tick(), if more => asked.extend(page.next().map(|saga_id| operating.operate(saga_id))),
                Some(outcome) = asked.next(), if !asked.is_empty() => known.extend(outcome),
                _ = progress.tick() => {
                    self.write(with(&self.record, std::mem::take(&mut known))).await?;
                    if !self.record.is_running() {
                        halt.cancel();
                    }
                }
            }
        }
        self.write(with(&self.record, known)).await
    }

    /// Writes the next record. What somebody has decided meanwhile about how it goes on is kept.
    async fn write(&mut self, mut next: BulkRecord) -> Result<(), Lost> {
        let mut before = self.record.revision;
        for _ in 0..WRITE_ATTEMPTS_MAX {
            next.revision = before + 1;
            next.operation.updated_at = Utc::now();
            if self.bulks.replace_bulk(&next).await? {
                self.record = next;
                return Ok(());
            }
            let now = self.bulks.load_bulk(next.operation.bulk_id).await?.ok_or(Lost::Elsewhere)?;
            if !is_as_far(&now, &self.record) {
                return Err(Lost::Elsewhere);
            }
            if !now.is_running() || next.is_running() {
                next.operation.status = now.operation.status;
            }
            next.operation.changes.clone_from(&now.operation.changes);
            before = now.revision;
        }
        Err(Lost::Elsewhere)
    }
}

/// Whether two records differ in nothing but what people decided.
fn is_as_far(one: &BulkRecord, other: &BulkRecord) -> bool {
    let progress = |record: &BulkRecord| (record.operation.done, record.operation.refused, record.exhausted);
    progress(one) == progress(other) && one.page == other.page && one.cursor == other.cursor
}

/// The sagas that are meant: those accepted before it was created, with ages as they were then.
fn frozen(operation: &BulkOperation) -> SagaFilter {
    let created_at = operation.created_at;
    let mut filter = operation.filter.clone().at(created_at);
    filter.created_to = Some(filter.created_to.map_or(created_at, |to| to.min(created_at)));
    filter
}

/// A record with what became of some sagas of its page.
fn with(record: &BulkRecord, outcomes: Vec<Outcome>) -> BulkRecord {
    let mut next = record.clone();
    let known: HashSet<SagaId> = outcomes.iter().map(|outcome| outcome.saga_id).collect();
    next.page.retain(|saga_id| !known.contains(saga_id));
    let operation = &mut next.operation;
    for Outcome { saga_id, refused } in outcomes {
        match refused {
            None => operation.done += 1,
            Some(problem) => {
                operation.refused += 1;
                count(&mut operation.refusals, &problem.code);
                if operation.examples.len() < BULK_EXAMPLES_MAX {
                    let Problem { code, message, .. } = problem;
                    operation.examples.push(Refusal { saga_id, code, message });
                }
            }
        }
    }
    next
}

fn count(refusals: &mut Vec<RefusalCount>, code: &str) {
    let is_known = refusals.iter().any(|known| known.code == code);
    let code = if is_known || refusals.len() < CODES_MAX { code } else { "other" };
    match refusals.iter_mut().find(|known| known.code == code) {
        Some(known) => known.count += 1,
        None => refusals.push(RefusalCount { code: code.to_owned(), count: 1 }),
    }
}

/// Doing it to one saga.
struct Operating {
    operators: Arc<dyn Operators>,
    operation: Arc<BulkOperation>,
    halt: CancellationToken,
}

impl Operating {
    /// Asks the saga's owner until there is one that answers; `None` when it is to stop before anybody has.
    async fn operate(&self, saga_id: SagaId) -> Option<Outcome> {
        let mut wait = RETRY_MIN;
        loop {
            match self.ask(saga_id).await {
                Ok(()) => return Some(Outcome { saga_id, refused: None }),
                Err(problem) if problem.may_pass() => {
                    self.halt.run_until_cancelled(tokio::time::sleep(wait)).await?;
                    wait = longer(wait, RETRY_MAX);
                }
                Err(problem) => return Some(Outcome { saga_id, refused: Some(problem) }),
            }
        }
    }

    async fn ask(&self, saga_id: SagaId) -> Result<(), Problem> {
        let BulkOperation { bulk_id, by, reason, act, .. } = &*self.operation;
        let bulk_id: BulkId = *bulk_id;
        let (by, reason) = (by.clone(), bulk_id.reason(reason));
        match act {
            BulkAct::Operate(act) => {
                let operation_id = bulk_id.operation_id(saga_id);
                self.operators.operate(&OperateSaga { saga_id, operation_id, by, reason, act: act.clone() }).await
            }
            BulkAct::Cancel(CancelAct::Cancel {}) => {
                self.operators.cancel(&CancelSaga { saga_id, by, reason, parent: None }).await
            }
        }
    }
}
