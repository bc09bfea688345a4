//! Schedules: one row each, written only over what was read.

use amends_core::schedule::Schedule;
use amends_database::{Database, ErrorKind};
use amends_engine::ports::StoreError;
use amends_engine::schedules::{DueSchedule, ScheduleStore};
use amends_schemas::cursor;
use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::saga::Page;
use amends_schemas::schedule::{ListSchedules, ScheduleSummary};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use surrealdb::types::{RecordId, SurrealValue, Variables};

use crate::rows::{from_values, to_i64};
use crate::store::{SurrealStore, unavailable};

/// How this version writes schedules: JSON, to which members may be added. A change that an older reader would misread gets the next
/// number.
const FORMAT: i64 = 1;

/// `due` of what has no next time: later than every time that can be asked for.
const NEVER: i64 = i64::MAX;

/// What the cursor of a list is good for.
const LIST: &str = "schedules";

const COLUMNS: &str = "id, name, writes, live, due, updated, format, schedule";

/// Where there is none yet.
const CREATE: &str = "CREATE $id CONTENT $row RETURN NONE";

/// What is due, by name.
const DUE: &str = "WHERE due <= $now AND name > $after ORDER BY name LIMIT $limit";

/// Over what was read. Answers whether it was still there.
const REPLACE: &str = "UPDATE $id CONTENT $row WHERE writes = $read RETURN VALUE writes";

/// A row of `schedule`. Times are microseconds since 1970: NONE would sort before every time.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct ScheduleRow {
    id: RecordId,
    name: String,
    writes: i64,
    live: bool,
    due: i64,
    updated: i64,
    format: i64,
    schedule: String,
}

impl ScheduleRow {
    /// The row that holds `schedule` after it is written once more.
    fn new(schedule: &Schedule) -> Result<Self, StoreError> {
        let schedule = Schedule { writes: schedule.writes + 1, ..schedule.clone() };
        let text = serde_json::to_string(&schedule).map_err(|error| {
            StoreError::Invalid(format!("schedule {} cannot be written as JSON: {error}", schedule.name))
        })?;
        Ok(Self {
            id: id(&schedule.name),
            name: schedule.name.clone(),
            writes: to_i64("the number of writes", schedule.writes)?,
            live: !schedule.deleted,
            due: schedule.next_at.map_or(NEVER, |time| time.timestamp_micros()),
            updated: schedule.updated_at.timestamp_micros(),
            format: FORMAT,
            schedule: text,
        })
    }

    /// To the last member, or not at all: what this version does not know, it would lose when it writes the schedule again.
    fn into_schedule(self) -> Result<Schedule, StoreError> {
        let mut unknown: Option<String> = None;
        let mut note = |path: serde_ignored::Path<'_>| {
            unknown.get_or_insert_with(|| path.to_string());
        };
        let read =
            self.read(|text| serde_ignored::deserialize(&mut serde_json::Deserializer::from_str(text), &mut note))?;
        match unknown {
            None => Ok(read),
            Some(member) => Err(StoreError::Damaged(format!(
                "schedule {} says `{member}`, which this version does not know: start the version that wrote it, or a later one",
                self.name
            ))),
        }
    }

    /// As it stands in a list, where nothing is lost.
    fn into_summary(self) -> Result<ScheduleSummary, StoreError> {
        Ok(self.read(|text| serde_json::from_str(text))?.summary())
    }

    fn read(&self, read: impl FnOnce(&str) -> Result<Schedule, serde_json::Error>) -> Result<Schedule, StoreError> {
        if self.format != FORMAT {
            return Err(StoreError::Damaged(format!(
                "schedule {} is written in format {} and this version reads format {FORMAT}: start the version that wrote it, or a later one",
                self.name, self.format
            )));
        }
        read(&self.schedule)
            .map_err(|error| StoreError::Damaged(format!("schedule {} cannot be read: {error}", self.name)))
    }
}

fn id(name: &str) -> RecordId {
    RecordId::new("schedule", name.to_owned())
}

#[async_trait]
impl ScheduleStore for SurrealStore {
    async fn schedule(&self, name: &str) -> Result<Option<Schedule>, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("id", id(name));
        let rows = read(&self.database, &format!("SELECT {COLUMNS} FROM $id"), bindings).await?;
        rows.into_iter().next().map(ScheduleRow::into_schedule).transpose()
    }

    async fn put_schedule(&self, schedule: &Schedule) -> Result<bool, StoreError> {
        let row = ScheduleRow::new(schedule)?;
        let mut bindings = Variables::new();
        bindings.insert("id", row.id.clone());
        bindings.insert("row", row);
        bindings.insert("read", to_i64("the number of writes", schedule.writes)?);
        let statement = if schedule.writes == 0 { CREATE } else { REPLACE };
        let written = self.database.query_values(statement, bindings).await.and_then(|mut rows| rows.take_values(0));
        match written {
            Ok(rows) => Ok(schedule.writes == 0 || !rows.is_empty()),
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict) => Ok(false),
            Err(error) => Err(unavailable("writing a schedule", &error)),
        }
    }

    async fn list_schedules(&self, query: &ListSchedules) -> Result<Page<ScheduleSummary>, StoreError> {
        let after = match &query.cursor {
            None => "",
            Some(cursor) => cursor::open(cursor, LIST).ok_or_else(|| {
                StoreError::Invalid(
                    "the cursor is not one that a page of this list gave: ask for the first page, without a cursor"
                        .into(),
                )
            })?,
        };
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let mut bindings = Variables::new();
        bindings.insert("after", after.to_owned());
        // One more than asked for tells whether there is a next page.
        bindings.insert("limit", i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let statement =
            format!("SELECT {COLUMNS} FROM schedule WHERE live = true AND name > $after ORDER BY name LIMIT $limit");
        let mut rows = read(&self.database, &statement, bindings).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| cursor::seal(&last.name, LIST));
        let items = rows.into_iter().map(ScheduleRow::into_summary).collect::<Result<Vec<_>, _>>()?;
        Ok(Page { items, next_cursor })
    }

    async fn count_schedules(&self) -> Result<usize, StoreError> {
        let count: Option<usize> = self
            .database
            .query("SELECT VALUE count FROM (SELECT count() FROM schedule WHERE live = true GROUP ALL)", ())
            .await
            .and_then(|mut rows| rows.take_first(0))
            .map_err(|error| unavailable("counting schedules", &error))?;
        Ok(count.unwrap_or_default())
    }

    async fn due_schedules(
        &self,
        now: DateTime<Utc>,
        after: &str,
        limit: usize,
    ) -> Result<Vec<DueSchedule>, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("now", now.timestamp_micros());
        bindings.insert("after", after.to_owned());
        bindings.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = read(&self.database, &format!("SELECT {COLUMNS} FROM schedule {DUE}"), bindings).await?;
        Ok(rows.into_iter().map(|row| (row.name.clone(), row.into_schedule())).collect())
    }

    async fn forget_schedules(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("before", before.timestamp_micros());
        self.database
            .query_values("DELETE schedule WHERE live = false AND updated < $before RETURN NONE", bindings)
            .await
            .map(drop)
            .map_err(|error| unavailable("forgetting deleted schedules", &error))
    }
}

async fn read(database: &Database, statement: &str, bindings: Variables) -> Result<Vec<ScheduleRow>, StoreError> {
    let values = database
        .query_values(statement, bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading schedules", &error))?;
    from_values("schedule", values)
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use surrealdb::types::Value;

    use super::*;

    /// A row that an earlier version wrote.
    #[test]
    fn schedules_of_earlier_versions_are_read() {
        let golden = include_str!("golden/schedule-1.json").trim_end();
        let row = |format, text: &str| ScheduleRow {
            id: id("nightly"),
            name: "nightly".to_owned(),
            writes: 7,
            live: true,
            due: 0,
            updated: 0,
            format,
            schedule: text.to_owned(),
        };
        let read = row(1, golden).into_schedule().unwrap();
        assert_eq!((read.writes, read.acts.len(), read.spec.cron.as_str()), (7, 2, "30 2 * * *"));
        let written = ScheduleRow::new(&Schedule { writes: 6, ..read }).unwrap();
        assert_eq!((written.format, written.schedule.as_str()), (1, golden), "written as ever");
        let newer = golden.replacen("\"day\"", "\"day\",\"jitter\":1", 1);
        let unknown = row(1, &newer).into_schedule().unwrap_err();
        assert!(unknown.to_string().contains("`spec.jitter`"), "{unknown}");
        assert_eq!(row(1, &newer).into_summary().unwrap().cron, "30 2 * * *");
        let later = row(2, golden).into_schedule().unwrap_err();
        assert!(later.to_string().contains("is written in format 2"), "{later}");
    }

    /// Asked every second, so it must cost nothing while nothing is due.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_due_is_found_by_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "test").await.unwrap();
        crate::schema::define(&database).await.unwrap();
        let mut bindings = Variables::new();
        bindings.insert("now", 1_i64);
        bindings.insert("after", String::new());
        bindings.insert("limit", 50_i64);
        let explain = format!("EXPLAIN SELECT {COLUMNS} FROM schedule {DUE}");
        let plan = database.query_values(&explain, bindings).await.unwrap().take_values(0).unwrap();
        let [Value::String(plan)] = &plan[..] else { panic!("{plan:?}") };
        assert!(plan.contains("IndexScan") && plan.contains("index: schedule_due"), "{plan}");
    }
}
