//! Streams and consumers made as `amends_schemas::topology` says.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_schemas::contract::ContractName;
use amends_schemas::subjects;
use amends_schemas::topology::{self, ACK_PENDING_MAX, ACK_WAIT, COMMANDS, EVENTS, Retention, STREAMS, StreamSpec};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tokio::time::Instant;

use crate::connection::describe;
use crate::publish::jetstream_code;
use crate::{Nats, NatsError};

/// A pull consumer.
pub type PullConsumer = async_nats::jetstream::consumer::Consumer<async_nats::jetstream::consumer::pull::Config>;

/// Deliveries of one message without end: a command that no worker can answer stays in the queue and is seen there,
/// rather than dropped.
const DELIVERIES_UNBOUNDED: i64 = -1;

/// Shortest time between two repairs. When a stream vanishes everybody who publishes notices at once; one of them asks.
const REPAIR_INTERVAL: Duration = Duration::from_millis(200);

impl Nats {
    /// Makes every stream be as specified. Idempotent; to be called at start and again on any sign of trouble.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn ensure_streams(&self) -> Result<(), NatsError> {
        for spec in STREAMS {
            self.ensure_stream(spec).await?;
        }
        Ok(())
    }

    /// [`Nats::ensure_streams`] for those who stumble over a missing stream in crowds: asks at most once in a short while.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn repair_streams(&self) -> Result<(), NatsError> {
        let mut last = self.last_repair.lock().await;
        if last.is_some_and(|at| at.elapsed() < REPAIR_INTERVAL) {
            return Ok(());
        }
        let result = self.ensure_streams().await;
        *last = Some(Instant::now());
        result
    }

    async fn ensure_stream(&self, spec: &StreamSpec) -> Result<(), NatsError> {
        let wanted = stream_config(spec, self.replicas());
        match self.jetstream().get_stream(spec.name).await {
            Ok(stream) if is_as_wanted(&stream.cached_info().config, &wanted) => return Ok(()),
            Ok(_) => {}
            Err(error) if jetstream_code(&error) == Some(ErrorCode::STREAM_NOT_FOUND) => {
                tracing::info!(stream = spec.name, "making a stream that is not there");
            }
            Err(error) => return Err(classify(&error)),
        }
        self.jetstream().create_or_update_stream(wanted).await.map(|_| ()).map_err(|error| classify(&error))
    }

    /// The durable consumer of one contract's commands, made when missing. Ensures the streams first.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn command_consumer(&self, contract: &ContractName) -> Result<PullConsumer, NatsError> {
        self.ensure_streams().await?;
        self.made_command_consumer(contract).await
    }

    /// Makes every one of these contracts have its durable consumer, so that a first worker in any language finds one to pull from.
    /// Ensures the streams first; idempotent, also beside workers that do the same. One that is refused (somebody consumes the same
    /// commands under another name) is left out and told: its commands wait as they would without.
    ///
    /// # Errors
    /// [`NatsError`] of anything but a refusal.
    pub async fn ensure_command_consumers(&self, contracts: &BTreeSet<ContractName>) -> Result<(), NatsError> {
        self.ensure_streams().await?;
        for contract in contracts {
            match self.made_command_consumer(contract).await {
                Ok(_) => {}
                Err(error @ NatsError::Refused(_)) => {
                    tracing::warn!(%contract, %error, "a contract has no consumer of its standard name");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn made_command_consumer(&self, contract: &ContractName) -> Result<PullConsumer, NatsError> {
        let name = topology::command_consumer(contract);
        self.consumer(
            &COMMANDS,
            pull::Config {
                durable_name: Some(name),
                filter_subject: subjects::command(contract),
                ..consumer_defaults()
            },
        )
        .await
    }

    /// The durable consumer of a context's domain events, by CloudEvents type. Ensures the streams first.
    ///
    /// # Errors
    /// [`NatsError`]; [`NatsError::Refused`] without any type.
    pub async fn event_consumer(&self, context: &str, event_types: &[String]) -> Result<PullConsumer, NatsError> {
        if event_types.is_empty() {
            return Err(NatsError::Refused("a consumer of no event types would get all".to_owned()));
        }
        self.ensure_streams().await?;
        self.consumer(
            &EVENTS,
            pull::Config {
                durable_name: Some(topology::event_consumer(context)),
                filter_subjects: event_types.iter().map(|event_type| subjects::domain_event(event_type)).collect(),
                ..consumer_defaults()
            },
        )
        .await
    }

    async fn consumer(&self, stream: &StreamSpec, config: pull::Config) -> Result<PullConsumer, NatsError> {
        self.jetstream().create_consumer_on_stream(config, stream.name).await.map_err(|error| classify(&error))
    }

    /// What tells this life of a stream from another one of the same name (when it was created); `None` when there is
    /// none. When it changes, everything the stream held is gone and must be published again.
    ///
    /// # Errors
    /// [`NatsError::Unavailable`].
    pub async fn stream_incarnation(&self, stream: &StreamSpec) -> Result<Option<String>, NatsError> {
        match self.jetstream().get_stream(stream.name).await {
            Ok(found) => Ok(Some(found.cached_info().created.to_string())),
            Err(error) if jetstream_code(&error) == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(None),
            Err(error) => Err(NatsError::Unavailable(describe(&error))),
        }
    }
}

fn consumer_defaults() -> pull::Config {
    pull::Config {
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: ACK_PENDING_MAX,
        max_deliver: DELIVERIES_UNBOUNDED,
        ..pull::Config::default()
    }
}

fn stream_config(spec: &StreamSpec, replicas: usize) -> Config {
    let (retention, discard) = match spec.retention {
        Retention::WorkQueue => (RetentionPolicy::WorkQueue, DiscardPolicy::New),
        Retention::Limits => (RetentionPolicy::Limits, DiscardPolicy::Old),
    };
    Config {
        name: spec.name.to_owned(),
        subjects: vec![spec.subjects.to_owned()],
        retention,
        discard,
        duplicate_window: spec.duplicate_window,
        max_age: spec.max_age.unwrap_or_default(),
        max_bytes: spec.max_bytes,
        storage: StorageType::File,
        num_replicas: replicas,
        ..Config::default()
    }
}

/// Whether everything we specify is so; what the server fills in by itself does not count.
fn is_as_wanted(found: &Config, wanted: &Config) -> bool {
    found.subjects == wanted.subjects
        && found.retention == wanted.retention
        && found.discard == wanted.discard
        && found.duplicate_window == wanted.duplicate_window
        && found.max_age == wanted.max_age
        && found.max_bytes == wanted.max_bytes
        && found.storage == wanted.storage
        && found.num_replicas == wanted.num_replicas
}

/// Errors of the JetStream API: with a code it is an answer, without one there was none.
pub(crate) fn classify(error: &(dyn std::error::Error + 'static)) -> NatsError {
    let text = describe(error);
    match jetstream_code(error) {
        None => NatsError::Unavailable(text),
        Some(ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND) => NatsError::TopologyMissing(text),
        // No leader yet, no peers yet: passes.
        Some(ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NO_PEERS | ErrorCode::CLUSTER_NOT_LEADER) => {
            NatsError::Unavailable(text)
        }
        Some(_) => NatsError::Refused(text),
    }
}
