//! Makes schedules, shows them, and does with them what people ask.

use std::sync::Arc;

use amends_core::definition::DefinitionLibrary;
use amends_core::schedule::{self, Operating, Schedule};
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::limits::SCHEDULES_MAX;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Page, StartSaga};
use amends_schemas::schedule::{
    CreateSchedule, ListSchedules, OperateSchedule, ScheduleOperated, ScheduleSummary, ScheduleView,
};
use chrono::Utc;

use super::ScheduleStore;
use super::starting::{Start, start};
use crate::ports::{StoreError, Transport};

/// How often a schedule may be written by others between our reading and our writing: people and the runner are few.
const WRITE_ATTEMPTS_MAX: usize = 16;

/// Answers for schedules. Any number of processes may do so at once.
pub struct ScheduleDesk {
    /// Where they are.
    pub store: Arc<dyn ScheduleStore>,
    /// How sagas are started.
    pub transport: Arc<dyn Transport>,
    /// What can be started.
    pub library: Arc<DefinitionLibrary>,
    /// Over how many partitions sagas are spread.
    pub partition_count: PartitionCount,
}

impl ScheduleDesk {
    /// Makes a schedule. Idempotent by its `operation_id`, and by name and content.
    ///
    /// # Errors
    /// Those of [`schedule::create`]; `too_many_schedules`; unavailable when nobody knows whether it was made.
    pub async fn create(&self, request: &CreateSchedule) -> Result<ScheduleView, Problem> {
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let now = Utc::now();
            let known = self.store.schedule(&request.name).await.map_err(problem)?;
            let made = match (schedule::create(known.as_ref(), request, &self.library, now)?, known) {
                (Some(made), _) => made,
                (None, Some(known)) => return Ok(known.view(now)),
                (None, None) => return Err(Problem::internal("schedule_not_made", "there is no schedule after all")),
            };
            if self.store.count_schedules().await.map_err(problem)? >= SCHEDULES_MAX {
                return Err(Problem::conflict(
                    "too_many_schedules",
                    format!("there are {SCHEDULES_MAX} schedules, and no more are kept: delete some"),
                ));
            }
            if self.store.put_schedule(&made).await.map_err(problem)? {
                return Ok(made.view(now));
            }
        }
        Err(contended(&request.name))
    }

    /// Reads one.
    ///
    /// # Errors
    /// `schedule_not_found`.
    pub async fn get(&self, name: &str) -> Result<ScheduleView, Problem> {
        Ok(self
            .read(name)
            .await?
            .filter(|schedule| !schedule.deleted)
            .ok_or_else(|| schedule::not_found(name))?
            .view(Utc::now()))
    }

    /// Reads a page of them, by name.
    ///
    /// # Errors
    /// `invalid_list` for a cursor that is none.
    pub async fn list(&self, query: &ListSchedules) -> Result<Page<ScheduleSummary>, Problem> {
        self.store.list_schedules(query).await.map_err(problem)
    }

    /// Does something with one. Idempotent by `operation_id`.
    ///
    /// # Errors
    /// Those of [`schedule::operate`]; for a run those of starting the saga; unavailable when nobody knows whether it was done.
    pub async fn operate(
        &self,
        request: &OperateSchedule,
        traceparent: Option<&str>,
    ) -> Result<ScheduleOperated, Problem> {
        let mut started = None;
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let schedule = self.read(&request.name).await?.ok_or_else(|| schedule::not_found(&request.name))?;
            let now = Utc::now();
            let decided = match started {
                None => schedule::operate(&schedule, request, &self.library, now)?,
                Some(saga_id) => schedule::ran(&schedule, request, saga_id, now)?,
            };
            let next = match decided {
                Operating::Done(told) => return Ok(*told),
                Operating::Write(next) => next,
                Operating::Start(start) => {
                    started = Some(self.start(&start, traceparent).await?);
                    continue;
                }
            };
            if self.store.put_schedule(&next).await.map_err(problem)? {
                return next
                    .told(request.operation_id)
                    .ok_or_else(|| Problem::internal("operation_undecided", "the act left no record"));
            }
        }
        Err(contended(&request.name))
    }

    async fn read(&self, name: &str) -> Result<Option<Schedule>, Problem> {
        self.store.schedule(name).await.map_err(problem)
    }

    async fn start(&self, saga: &StartSaga, traceparent: Option<&str>) -> Result<SagaId, Problem> {
        match start(&*self.transport, self.partition_count, saga, traceparent).await {
            Start::Started => Ok(saga.saga_id),
            Start::Refused(problem) => Err(problem),
            Start::Later(reason) => Err(Problem::unavailable("partition_unavailable", reason)),
        }
    }
}

fn contended(name: &str) -> Problem {
    Problem::unavailable("schedule_contended", format!("others write schedule {name} all the time; ask again"))
}

fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Invalid(message) => Problem::invalid("invalid_list", message),
        StoreError::Unavailable(_) => {
            tracing::warn!(%error, "schedules cannot be read or written");
            Problem::unavailable("store_unavailable", "the database cannot answer")
        }
        StoreError::Fenced { .. }
        | StoreError::Damaged(_)
        | StoreError::Unread(_)
        | StoreError::PartitionCount { .. } => {
            tracing::error!(%error, "schedules cannot be read or written");
            Problem::internal("schedule_unreadable", "the schedule cannot be read or written")
        }
    }
}
