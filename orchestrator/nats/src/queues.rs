//! How much waits in the work queue, from JetStream's own counts.

use std::collections::BTreeMap;

use amends_schemas::contract::ContractName;
use amends_schemas::subjects;
use amends_schemas::topology::{COMMANDS, contract_of_subject};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};

use crate::publish::jetstream_code;
use crate::topology::classify;
use crate::{Nats, NatsError};

/// Most contracts measured: far more than definitions call.
const QUEUES_MAX: usize = 1024;

/// Questions for the oldest command asked at once. Each answer carries that command.
const OLDEST_AT_ONCE: usize = 8;

/// One contract's commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Commands that were not delivered yet.
    pub waiting: u64,
    /// Commands delivered and not acknowledged, those that were given back for a while among them.
    pub with_workers: u64,
    /// Of those, how many were delivered more than once.
    pub redelivered: u64,
    /// When the oldest of all was sent.
    pub oldest_at: Option<DateTime<Utc>>,
    /// When a command was last delivered, or a worker last said that it is at work at one, by the server's clock: when it moves, somebody
    /// is there.
    pub last_active: Option<DateTime<Utc>>,
    /// Pulls that wait for a command at this moment.
    pub pulls: usize,
}

impl Nats {
    /// Every contract's commands, but for their age: two small requests.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn queues(&self) -> Result<BTreeMap<ContractName, Queue>, NatsError> {
        self.queue_depths().await.map(|(_, queues)| queues)
    }

    /// As [`Nats::queues`], with the age of the oldest command of each: one more request for each contract that has any.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn queues_with_age(&self) -> Result<BTreeMap<ContractName, Queue>, NatsError> {
        let (Some(stream), mut queues) = self.queue_depths().await? else { return Ok(BTreeMap::new()) };
        let busy: Vec<ContractName> = queues
            .iter()
            .filter(|(_, queue)| queue.waiting + queue.with_workers > 0)
            .map(|(contract, _)| contract.clone())
            .collect();
        let stream = &stream;
        let oldest: Vec<(ContractName, Option<DateTime<Utc>>)> = futures::stream::iter(busy)
            .map(|contract| async move { oldest(stream, &contract).await.map(|at| (contract, at)) })
            .buffer_unordered(OLDEST_AT_ONCE)
            .try_collect()
            .await?;
        for (contract, at) in oldest {
            if let Some(queue) = queues.get_mut(&contract) {
                queue.oldest_at = at;
            }
        }
        Ok(queues)
    }

    async fn queue_depths(&self) -> Result<(Option<Stream<()>>, BTreeMap<ContractName, Queue>), NatsError> {
        let stream = match self.jetstream().get_stream_no_info(COMMANDS.name).await {
            Ok(stream) => stream,
            Err(error) => return Err(classify(&error)),
        };
        let mut queues: BTreeMap<ContractName, Queue> = BTreeMap::new();
        // What nobody consumes yet waits as well.
        let mut subjects = match stream.info_with_subjects(COMMANDS.subjects).await {
            Ok(subjects) => subjects,
            Err(error) if jetstream_code(&error) == Some(ErrorCode::STREAM_NOT_FOUND) => return Ok((None, queues)),
            Err(error) => return Err(classify(&error)),
        };
        while queues.len() < QUEUES_MAX
            && let Some((subject, count)) = subjects.try_next().await.map_err(|error| classify(&error))?
        {
            if let Some(contract) = contract_of_subject(&subject) {
                queues.entry(contract).or_default().waiting = count as u64;
            }
        }
        let mut consumers = stream.consumers().take(QUEUES_MAX);
        while let Some(info) = consumers.try_next().await.map_err(|error| classify(&error))? {
            let Some(contract) = contract_of_subject(&info.config.filter_subject) else { continue };
            let queue = queues.entry(contract).or_default();
            queue.waiting = info.num_pending;
            queue.with_workers = info.num_ack_pending as u64;
            queue.redelivered = info.num_redelivered as u64;
            queue.last_active = info.delivered.last_active.and_then(|time| utc(time.unix_timestamp_nanos()));
            queue.pulls = info.num_waiting;
        }
        Ok((Some(stream), queues))
    }
}

/// When the oldest command of a contract was sent; `None` when the last one was just done.
async fn oldest(stream: &Stream<()>, contract: &ContractName) -> Result<Option<DateTime<Utc>>, NatsError> {
    match stream.get_first_raw_message_by_subject(subjects::command(contract), 1).await {
        Ok(message) => Ok(utc(message.time.unix_timestamp_nanos())),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(classify(&error)),
    }
}

fn utc(nanoseconds: i128) -> Option<DateTime<Utc>> {
    i64::try_from(nanoseconds).ok().map(DateTime::from_timestamp_nanos)
}
