//! Schedules against a real database: written only over what was read, found when they are due, listed by name.

use amends_core::schedule::Schedule;
use amends_engine::ports::StoreError;
use amends_engine::schedules::ScheduleStore;
use amends_schemas::schedule::{CatchUp, ListSchedules, ScheduleSpec};
use anyhow::Result;
use chrono::{TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::common::{at, check, store};

fn schedule(name: &str, next_at: Option<i64>) -> Schedule {
    Schedule {
        name: name.to_owned(),
        schedule_id: Uuid::from_u128(7),
        writes: 0,
        revision: 1,
        spec: ScheduleSpec {
            definition: "report".into(),
            version: Some(2),
            input: json!({"nested": [1, null, 0.5, u64::MAX, {"null": null}]}),
            time_member: Some("at".into()),
            tags: ["t".to_owned()].into(),
            cron: "0 2 * * *".into(),
            time_zone: "Europe/Berlin".into(),
            catch_up: CatchUp::All,
        },
        paused: next_at.is_none(),
        deleted: false,
        created_at: at(0),
        updated_at: at(0),
        settled_until: at(0),
        next_at: next_at.map(at),
        last_at: None,
        last_saga_id: None,
        last_error: None,
        left_out: None,
        acts: Vec::new(),
    }
}

fn written(schedule: &Schedule) -> Schedule {
    Schedule { writes: schedule.writes + 1, ..schedule.clone() }
}

#[test]
fn a_schedule_is_read_back_as_it_was_written() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        assert_eq!(store.schedule("nightly").await?, None);
        let first = schedule("nightly", Some(5));
        assert!(store.put_schedule(&first).await?);
        assert_eq!(store.schedule("nightly").await?, Some(written(&first)));
        let mut second = written(&first);
        second.deleted = true;
        second.next_at = None;
        assert!(store.put_schedule(&second).await?);
        assert_eq!(store.schedule("nightly").await?, Some(written(&second)), "kept for the record");
        Ok(())
    })
}

#[test]
fn of_writers_at_once_one_wins_and_nothing_is_lost() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let creators = (0..8).map(|n| {
            let (store, mut mine) = (store.clone(), schedule("one", Some(n)));
            mine.revision = u64::try_from(n).expect("small");
            tokio::spawn(async move { store.put_schedule(&mine).await })
        });
        let mut won = 0;
        for creator in creators.collect::<Vec<_>>() {
            won += usize::from(creator.await??);
        }
        assert_eq!(won, 1);
        // Each adds one, over what it has read, until it is in.
        let adders = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    let mut read = store.schedule("one").await?.expect("there");
                    read.revision += 100;
                    if store.put_schedule(&read).await? {
                        return Ok::<_, StoreError>(());
                    }
                }
            })
        });
        for adder in adders.collect::<Vec<_>>() {
            adder.await??;
        }
        let end = store.schedule("one").await?.expect("there");
        assert_eq!((end.revision / 100, end.writes), (8, 9));
        assert!(!store.put_schedule(&schedule("one", None)).await?, "there is one already");
        Ok(())
    })
}

#[test]
fn what_is_due_is_found_and_what_is_paused_is_not() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for (name, next_at) in [("d", Some(1)), ("a", Some(9)), ("c", Some(10)), ("b", None), ("e", Some(2))] {
            assert!(store.put_schedule(&schedule(name, next_at)).await?);
        }
        let due = async |now: i64, after: &str, limit| {
            let found = store.due_schedules(at(now), after, limit).await?;
            let names = found.into_iter().map(|(name, schedule)| {
                assert_eq!(schedule.expect("it is read").name, name);
                name
            });
            Ok::<_, StoreError>(names.collect::<Vec<_>>())
        };
        assert_eq!(due(0, "", 10).await?, Vec::<String>::new());
        assert_eq!(due(9, "", 10).await?, ["a", "d", "e"], "the time itself is due");
        assert_eq!(due(1_000_000_000, "", 2).await?, ["a", "c"]);
        assert_eq!(due(1_000_000_000, "c", 2).await?, ["d", "e"]);
        assert_eq!(due(1_000_000_000, "e", 2).await?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn schedules_are_listed_by_name_and_deleted_ones_forgotten() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for n in (0..7).rev() {
            let mut schedule = schedule(&format!("s{n}"), Some(1));
            schedule.deleted = n == 3;
            assert!(store.put_schedule(&schedule).await?);
        }
        assert_eq!(store.count_schedules().await?, 6);
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list_schedules(&ListSchedules { cursor, limit: Some(2) }).await?;
            assert!(page.items.len() <= 2);
            names.extend(page.items.into_iter().map(|summary| summary.name));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["s0", "s1", "s2", "s4", "s5", "s6"]);
        let made_up = store.list_schedules(&ListSchedules { cursor: Some("s1".into()), limit: None }).await;
        assert!(matches!(made_up, Err(StoreError::Invalid(_))), "{made_up:?}");
        store.forget_schedules(at(0)).await?;
        assert!(store.schedule("s3").await?.is_some(), "not deleted before that");
        store.forget_schedules(Utc::now() + TimeDelta::days(1)).await?;
        assert_eq!(store.schedule("s3").await?, None);
        assert_eq!(store.count_schedules().await?, 6);
        Ok(())
    })
}
