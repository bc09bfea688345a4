//! How many sagas a filter finds.

use amends_database::Database;
use amends_engine::ports::StoreError;
use amends_schemas::search::{SagaCount, SagaFilter, SagaSort};
use chrono::Utc;

use crate::list::smallest;
use crate::question::{Order, Question};
use crate::scan::{CHUNK_ROWS_MAX, Scan, snapshot};
use crate::tally;

/// Rows looked at for one count: a tenth of a second at most. Whoever must know more exactly asks for less.
const COUNT_ROWS_MAX: usize = 10_000;

/// Counts. By status and definition alone the counters know it; for anything else rows are looked at.
pub(crate) async fn count(database: &Database, filter: &SagaFilter) -> Result<SagaCount, StoreError> {
    let question = Question::new(filter, Utc::now())?;
    if let Some((statuses, definition)) = question.of_counts()
        && let Some(count) = tally::count_of(database, statuses, definition).await?
    {
        return Ok(SagaCount { count, at_least: false });
    }
    let order = Order::of(SagaSort::NewestFirst);
    let (start, end) = question.bounds(SagaSort::NewestFirst);
    let snapshot = snapshot(database).await?;
    let source = smallest(&snapshot, &question, order, &start).await?;
    let mut scan = Scan::new(&snapshot, order, source, (start, end), CHUNK_ROWS_MAX);
    let (mut count, mut looked_at, mut at_least) = (0, 0, false);
    while let Some((_, row)) = scan.next().await? {
        if looked_at == COUNT_ROWS_MAX {
            at_least = true;
            break;
        }
        looked_at += 1;
        count += u64::from(question.matches(&row));
    }
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    Ok(SagaCount { count, at_least })
}
