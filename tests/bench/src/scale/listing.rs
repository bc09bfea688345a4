//! How long pages of a long list take, asked of the orchestrator one after the other.

use std::time::Instant;

use amends_nats::Nats;
use amends_schemas::saga::{ListSagas, Page, SagaStatus, SagaSummary};
use amends_schemas::search::{SagaFilter, SagaSort};
use amends_schemas::subjects::ORCHESTRATOR_LIST;
use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::fill::tag;
use crate::job;
use crate::load::PATIENCE;
use crate::measurement::Percentiles;

/// Between two sagas whose tags are asked for, so that not always the same rows are warm: a prime, and more than share a tag.
const TAG_STRIDE: usize = 7_919;

/// One kind of question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listing {
    /// In words.
    pub question: String,
    /// How often it was asked.
    pub asked_count: usize,
    /// Sagas on all pages together.
    pub saga_count: usize,
    /// How long an answer took.
    pub answered_ms: Percentiles,
}

/// Asks each kind of question `times` times of a store that holds `count` finished sagas.
pub async fn ask_all(nats: &Nats, count: usize, times: usize) -> anyhow::Result<Vec<Listing>> {
    let tag_of = |turn: usize| vec![tag(turn * TAG_STRIDE % count)];
    let completed = || vec![SagaStatus::Completed];
    let plain = |filter: SagaFilter| ListSagas { filter, ..ListSagas::default() };
    let definition = || Some(job::DEFINITION.to_owned());
    let questions: [(&str, &dyn Fn(usize) -> ListSagas); 6] = [
        ("all, newest first", &|_| ListSagas::default()),
        ("by status", &|_| plain(SagaFilter { status: completed(), ..SagaFilter::default() })),
        ("by definition", &|_| plain(SagaFilter { definition: definition(), ..SagaFilter::default() })),
        ("by tag", &|turn| plain(SagaFilter { tag: tag_of(turn), ..SagaFilter::default() })),
        ("by status and tag", &|turn| {
            plain(SagaFilter { status: completed(), tag: tag_of(turn), ..SagaFilter::default() })
        }),
        ("all, last changed first", &|_| ListSagas { sort: SagaSort::ChangedLastFirst, ..ListSagas::default() }),
    ];
    let mut listings = Vec::new();
    for (title, question) in questions {
        listings.push(repeat(nats, title, times, |turn, _| question(turn)).await?);
    }
    let next = |_, cursor| ListSagas { cursor, ..ListSagas::default() };
    listings.push(repeat(nats, "the next page, on and on", times, next).await?);
    Ok(listings)
}

async fn repeat(
    nats: &Nats,
    title: &str,
    times: usize,
    question: impl Fn(usize, Option<String>) -> ListSagas,
) -> anyhow::Result<Listing> {
    let mut answered_ms = Vec::with_capacity(times);
    let (mut saga_count, mut cursor) = (0, None);
    for turn in 0..times {
        let question = question(turn, cursor);
        let asked = Instant::now();
        let page: Result<Page<SagaSummary>, _> = nats.ask(ORCHESTRATOR_LIST.to_owned(), &question, PATIENCE).await;
        answered_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
        let page = page.map_err(|problem| anyhow::anyhow!("the list is refused ({title}): {problem}"))?;
        ensure!(!page.items.is_empty(), "an empty page ({title})");
        saga_count += page.items.len();
        cursor = page.next_cursor;
    }
    Ok(Listing {
        question: title.to_owned(),
        asked_count: times,
        saga_count,
        answered_ms: Percentiles::of(answered_ms),
    })
}
