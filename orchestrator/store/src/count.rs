//! How many sagas a filter finds.

use amends_database::Database;
use amends_engine::ports::StoreError;
use amends_schemas::search::{SagaCount, SagaFilter, SagaSort};
use chrono::Utc;

use crate::list::smallest;
use crate::question::{Order, Question};
use crate::scan::{CHUNK_ROWS_MAX, Scan};
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
    let source = smallest(database, &question, order, &start).await?;
    let mut scan = Scan::new(database, order, source, (start, end), CHUNK_ROWS_MAX);
    let (mut count, mut looked_at) = (0, 0);
    while let Some((_, row)) = scan.next().await? {
        if looked_at == COUNT_ROWS_MAX {
            return Ok(SagaCount { count, at_least: true });
        }
        looked_at += 1;
        count += u64::from(question.matches(&row));
    }
    Ok(SagaCount { count, at_least: false })
}
