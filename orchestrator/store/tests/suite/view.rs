//! The view against a real database: projected, recovered, listed.

use std::collections::BTreeSet;

use crate::common::{check, id, record, saga, store};
use amends_core::standing::Standing;
use amends_engine::ports::{Store, StoreError, StoredSaga};
use amends_schemas::command::StepError;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::limits::TAGS_MAX;
use amends_schemas::saga::{ListSagas, SagaStatus};
use amends_schemas::search::SagaFilter;
use amends_store::SurrealStore;
use anyhow::Result;

const P: PartitionId = PartitionId(3);

#[test]
fn what_was_projected_is_loaded() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let running = saga(1, SagaStatus::Running, "registration", &["a", "b"]);
        store.project(P, 1, 1, std::slice::from_ref(&running)).await?;
        assert_eq!(store.load(id(1)).await?, Some(running.clone()));
        assert_eq!(store.load(id(2)).await?, None);

        let mut completed = running;
        completed.state.status = SagaStatus::Completed;
        completed.state.output = Some(serde_json::json!({"seat": 12}));
        completed.waiting_for = None;
        completed.positions.push(9);
        store.project(P, 1, 9, std::slice::from_ref(&completed)).await?;
        assert_eq!(store.load(id(1)).await?, Some(completed));
        Ok(())
    })
}

/// Its commit's answer may have been lost, and then it is tried again.
#[test]
fn what_is_taken_for_new_and_is_there_is_written_over() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let one = |n, status| StoredSaga { is_new: true, ..saga(n, status, "registration", &[]) };
        store.project(P, 1, 1, &[one(1, SagaStatus::Running), one(2, SagaStatus::Running)]).await?;
        store.project(P, 1, 2, &[one(2, SagaStatus::Completed), one(3, SagaStatus::Running)]).await?;
        for (n, status) in [(1, SagaStatus::Running), (2, SagaStatus::Completed), (3, SagaStatus::Running)] {
            assert_eq!(store.load(id(n)).await?.map(|found| found.state.status), Some(status), "{n}");
        }
        assert_eq!(store.counts().await?.total, 3);
        Ok(())
    })
}

/// As many as a projector is given at once, of the kind with the most entries in the indexes: more than the engine's table takes in one transaction.
#[test]
fn sagas_with_many_keys_are_projected_however_many_there_are() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let tags: Vec<String> = (0..TAGS_MAX).map(|n| format!("kind{n}_{}", "x".repeat(40))).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let message = (0..30).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
        let standing = vec![Standing { step: "pay".into(), error: Some(StepError::new("refused", message)) }];
        let stuck = |n| StoredSaga { standing: standing.clone(), ..saga(n, SagaStatus::Stuck, "registration", &tags) };
        let sagas: Vec<StoredSaga> = (1..=2_000).map(stuck).collect();
        store.project(P, 1, 1, &sagas).await?;
        assert_eq!(store.counts().await?.total, 2_000);
        Ok(())
    })
}

#[test]
fn recovery_is_unsettled_rows_and_the_journal_after_the_checkpoint() -> Result<()> {
    check(|place| async move {
        let first = store(&place).await?;
        for position in 1..=20 {
            first.append(&record(3, position, 2, "a")).await?;
        }
        // More than one page of each kind; every third is unfinished.
        let sagas: Vec<StoredSaga> = (1000..2800)
            .map(|n| {
                let status = if n % 3 == 0 { SagaStatus::Stuck } else { SagaStatus::Completed };
                saga(n, status, "registration", &[])
            })
            .collect();
        first.project(P, 2, 15, &sagas).await?;
        first.project(PartitionId(4), 1, 1, &[saga(1, SagaStatus::Running, "registration", &[])]).await?;
        drop(first);

        let recovered = store(&place).await?.recover(P).await?;
        assert_eq!((recovered.last_position, recovered.last_epoch), (20, 2));
        assert_eq!(recovered.tail.iter().map(|record| record.position).collect::<Vec<_>>(), [16, 17, 18, 19, 20]);
        let ids: BTreeSet<SagaId> = recovered.sagas.iter().map(|saga| saga.state.saga_id).collect();
        let expected: BTreeSet<SagaId> = (1000..2800).filter(|n| n % 3 == 0).map(id).collect();
        assert_eq!(ids, expected);
        assert_eq!(recovered.sagas.len(), expected.len());
        Ok(())
    })
}

#[test]
fn a_row_that_is_newer_than_the_checkpoint_and_settled_is_recovered() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for position in 1..=5 {
            store.append(&record(3, position, 1, "a")).await?;
        }
        // Position 4 is about the fourth saga; its row has it already, though the checkpoint is at 2.
        let settled = saga(4, SagaStatus::Completed, "registration", &[]);
        store.project(P, 1, 2, std::slice::from_ref(&settled)).await?;
        let recovered = store.recover(P).await?;
        assert_eq!(recovered.sagas, [settled]);
        assert_eq!(recovered.tail.len(), 3);
        Ok(())
    })
}

#[test]
fn when_every_record_is_projected_the_last_one_still_says_position_and_epoch() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for position in 1..=5 {
            store.append(&record(3, position, 7, "a")).await?;
        }
        store.project(P, 7, 5, &[]).await?;
        let recovered = store.recover(P).await?;
        assert_eq!((recovered.last_position, recovered.last_epoch, recovered.tail.len()), (5, 7, 0));
        Ok(())
    })
}

#[test]
fn an_owner_that_was_replaced_cannot_project() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for position in 1..=9 {
            store.append(&record(3, position, 1, "a")).await?;
        }
        let new = saga(1, SagaStatus::Completed, "registration", &[]);
        store.project(P, 2, 9, std::slice::from_ref(&new)).await?;
        let old = saga(1, SagaStatus::Running, "registration", &[]);
        let error = store.project(P, 1, 9, std::slice::from_ref(&old)).await.unwrap_err();
        assert!(matches!(error, StoreError::Fenced { partition: P, position: 9, epoch: 2, .. }), "{error}");
        assert_eq!(store.load(id(1)).await?, Some(new));
        // Within one epoch the checkpoint does not move back.
        store.project(P, 2, 4, &[]).await?;
        assert_eq!(store.recover(P).await?.tail.len(), 0);
        Ok(())
    })
}

#[test]
fn projectors_of_all_partitions_work_at_once() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let projectors: Vec<_> = (0..8)
            .map(|partition| {
                let store = store.clone();
                tokio::spawn(async move {
                    for round in 0..5 {
                        let base = u128::from(partition) * 1000 + round * 20;
                        let sagas: Vec<_> = (base..base + 20)
                            .map(|n| saga(n, SagaStatus::Running, "registration", &["same"]))
                            .collect();
                        store.project(PartitionId(partition), 1, 1, &sagas).await?;
                    }
                    Ok::<(), StoreError>(())
                })
            })
            .collect();
        for projector in projectors {
            projector.await??;
        }
        let query = listed(SagaFilter { tag: vec!["same".into()], ..SagaFilter::default() });
        assert_eq!(all_pages(&store, query, 200).await?.len(), 8 * 5 * 20);
        Ok(())
    })
}

pub fn listed(filter: SagaFilter) -> ListSagas {
    ListSagas { filter, ..ListSagas::default() }
}

fn of_status(status: SagaStatus) -> ListSagas {
    listed(SagaFilter { status: vec![status], ..SagaFilter::default() })
}

/// Ids of all pages, in order.
pub async fn all_pages(store: &SurrealStore, mut query: ListSagas, limit: usize) -> Result<Vec<SagaId>> {
    query.limit = Some(limit);
    let mut ids = Vec::new();
    loop {
        let page = store.list(&query).await?;
        assert!(page.items.len() <= limit);
        ids.extend(page.items.iter().map(|item| item.saga_id));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(ids),
        }
    }
}

const STATUSES: [SagaStatus; 3] = [SagaStatus::Running, SagaStatus::Completed, SagaStatus::Stuck];
const NAMES: [&str; 2] = ["registration", "registration-cancellation"];

/// Five hundred sagas of all kinds.
fn many() -> Vec<StoredSaga> {
    (0..500)
        .map(|n| {
            saga(n as u128, STATUSES[n % 3], NAMES[n / 3 % 2], &[["event_1", "event_2"][n % 2], "vip"][..1 + n % 5 / 4])
        })
        .collect()
}

#[test]
fn lists_are_paged_newest_first_for_every_filter() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas = many();
        store.project(P, 1, 1, &sagas).await?;
        for status in [None, Some(SagaStatus::Completed)] {
            for definition in [None, Some("registration")] {
                for tag in [None, Some("event_2"), Some("vip")] {
                    let expected: Vec<SagaId> = sagas
                        .iter()
                        .rev()
                        .map(|saga| &saga.state)
                        .filter(|state| status.is_none_or(|status| state.status == status))
                        .filter(|state| definition.is_none_or(|name| &*state.definition.name == name))
                        .filter(|state| tag.is_none_or(|tag| state.tags.contains(tag)))
                        .map(|state| state.saga_id)
                        .collect();
                    let query = listed(SagaFilter {
                        status: status.into_iter().collect(),
                        definition: definition.map(Into::into),
                        tag: tag.map(Into::into).into_iter().collect(),
                        ..SagaFilter::default()
                    });
                    assert!(!expected.is_empty());
                    assert_eq!(all_pages(&store, query.clone(), 7).await?, expected, "{query:?}");
                    assert_eq!(all_pages(&store, query, expected.len().min(200)).await?, expected);
                }
            }
        }
        let none = listed(SagaFilter { tag: vec!["nobody".into()], ..SagaFilter::default() });
        assert!(all_pages(&store, none, 10).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_line_of_a_list_says_what_the_saga_says() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let stuck = saga(1, SagaStatus::Stuck, "registration", &["b", "a"]);
        store.project(P, 1, 1, std::slice::from_ref(&stuck)).await?;
        let page = store.list(&ListSagas::default()).await?;
        let [line] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!((line.saga_id, &line.definition[..], line.version), (id(1), "registration", 1));
        assert_eq!((line.status, line.paused, &line.tags), (SagaStatus::Stuck, true, &stuck.state.tags));
        assert_eq!(line.waiting_for.as_deref(), Some("waiting for 1"));
        assert_eq!((line.created_at, line.updated_at), (stuck.state.created_at, stuck.state.updated_at));
        assert_eq!(page.next_cursor, None);
        Ok(())
    })
}

#[test]
fn a_cursor_stands_still_while_sagas_are_added_and_change() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas = many();
        store.project(P, 1, 1, &sagas[..400]).await?;
        let first = store.list(&ListSagas { limit: Some(100), ..ListSagas::default() }).await?;
        assert_eq!(first.items.len(), 100);
        // A hundred newer ones, and all that are on the next page change.
        let mut changed: Vec<StoredSaga> = sagas[200..300].to_vec();
        for saga in &mut changed {
            saga.state.status = SagaStatus::Compensated;
        }
        store.project(P, 1, 2, &sagas[400..]).await?;
        store.project(P, 1, 3, &changed).await?;
        let next = ListSagas { limit: Some(100), cursor: first.next_cursor, ..ListSagas::default() };
        let second = store.list(&next).await?;
        let expected: Vec<SagaId> = (200..300).rev().map(id).collect();
        assert_eq!(second.items.iter().map(|item| item.saga_id).collect::<Vec<_>>(), expected);
        assert!(second.items.iter().all(|item| item.status == SagaStatus::Compensated));

        let by_status = of_status(SagaStatus::Compensated);
        assert_eq!(all_pages(&store, by_status, 33).await?, expected, "they are found under the new status");
        let running = of_status(SagaStatus::Running);
        let running = all_pages(&store, running, 33).await?;
        assert!(running.iter().all(|id| !expected.contains(id)), "and no longer under the old one");
        Ok(())
    })
}

#[test]
fn a_cursor_that_was_not_given_is_refused() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        store.project(P, 1, 1, &many()[..20]).await?;
        let page = store.list(&ListSagas { limit: Some(5), ..ListSagas::default() }).await?;
        let cursor = page.next_cursor.unwrap_or_default();
        let tampered = format!("{}0", &cursor[..cursor.len() - 1]);
        let tampered = if tampered == cursor { format!("{}1", &cursor[..cursor.len() - 1]) } else { tampered };
        let other_question = ListSagas { cursor: Some(cursor.clone()), ..of_status(SagaStatus::Running) };
        for query in [
            ListSagas { cursor: Some(tampered), ..ListSagas::default() },
            ListSagas { cursor: Some("x".into()), ..ListSagas::default() },
            other_question,
        ] {
            let error = store.list(&query).await.unwrap_err();
            assert!(matches!(error, StoreError::Invalid(_)), "{error}");
        }
        store.list(&ListSagas { cursor: Some(cursor), ..ListSagas::default() }).await?;
        Ok(())
    })
}
