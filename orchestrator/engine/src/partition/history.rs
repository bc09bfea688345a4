//! A page of one saga's facts, read back from where they are kept.

use std::sync::Arc;

use amends_core::definition::Definition;
use amends_core::view::history_entry;
use amends_schemas::ids::PartitionId;
use amends_schemas::limits::HISTORY_PAGE_BYTES_MAX;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{HistoryEntry, HistoryPage, HistoryQuery};
use chrono::{DateTime, Utc};

use super::decide::{definition_missing, record_unread};
use super::run::Partition;
use crate::ports::{Store, StoreError};
use crate::request::Respond;

/// Most facts that are read for a page, for it is counted from the first: a saga of a hundred thousand children, each started, ended and
/// undone, has fewer.
const FACTS_READ_MAX: usize = 500_000;

impl Partition {
    /// Reads off the loop, and answers then.
    pub(super) fn answer_history(&self, query: HistoryQuery, respond: Respond<HistoryPage>) {
        match self.history_parts(query) {
            Ok(history) => {
                let store = Arc::clone(&self.store);
                tokio::spawn(async move { respond(history.read(&*store).await) });
            }
            Err(problem) => respond(Err(problem)),
        }
    }

    fn history_parts(&self, query: HistoryQuery) -> Result<History, Problem> {
        let saga_id = query.saga_id;
        let entry = self
            .memory
            .get(saga_id)
            .ok_or_else(|| Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")))?;
        let definition =
            entry.definition.as_ref().map(Arc::clone).ok_or_else(|| definition_missing(entry, &self.library))?;
        let fact_count = entry.state.event_count;
        if fact_count > FACTS_READ_MAX as u64 {
            let message = format!("this saga has {fact_count} facts, and {FACTS_READ_MAX} are read at most");
            return Err(Problem::new(ProblemKind::TooLarge, "history_too_long", message));
        }
        let most = self.settings.history_facts_max;
        Ok(History {
            partition: self.partition,
            limit: query.limit.unwrap_or(most).clamp(1, most),
            query,
            definition,
            positions: entry.positions.clone(),
            fact_count,
            created_at: entry.state.created_at,
        })
    }
}

/// What a page is made from.
struct History {
    partition: PartitionId,
    query: HistoryQuery,
    limit: usize,
    definition: Arc<Definition>,
    positions: Vec<u64>,
    fact_count: u64,
    created_at: DateTime<Utc>,
}

impl History {
    async fn read(self, store: &dyn Store) -> Result<HistoryPage, Problem> {
        let saga_id = self.query.saga_id;
        let events = match store.retention().history(self.partition, saga_id, &self.positions, FACTS_READ_MAX).await {
            Ok(events) => events,
            Err(StoreError::Unread(saga)) => return Err(record_unread(&saga)),
            Err(error) => {
                tracing::warn!(saga.id = %saga_id, %error, "a history cannot be read");
                return Err(Problem::unavailable("store_unavailable", "the database cannot answer"));
            }
        };
        let trimmed = self.fact_count.saturating_sub(events.len() as u64);
        let mut page = HistoryPage { items: Vec::new(), more: false };
        if trimmed > 0 && self.query.after < trimmed {
            page.items.push(history_trimmed(trimmed, self.created_at));
        }
        let mut bytes = 0;
        for (sequence, event) in (trimmed + 1..).zip(&events).filter(|(sequence, _)| *sequence > self.query.after) {
            let item = history_entry(&self.definition, sequence, event);
            bytes += serde_json::to_vec(&item).map_or(0, |json| json.len());
            let full = page.items.len() >= self.limit || bytes > HISTORY_PAGE_BYTES_MAX;
            if full && !page.items.is_empty() {
                page.more = true;
                break;
            }
            page.items.push(item);
        }
        Ok(page)
    }
}

/// Stands for facts that are past keeping: the first `count` of them. Its place is that of the last of them, so that the next page follows.
fn history_trimmed(count: u64, at: DateTime<Utc>) -> HistoryEntry {
    let data = serde_json::json!({"count": count});
    HistoryEntry { sequence: count, at, event: "history_trimmed".to_owned(), step: None, data }
}
