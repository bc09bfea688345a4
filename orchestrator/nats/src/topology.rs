//! Streams and consumers made as `amends_schemas::topology` says.

use amends_schemas::contract::ContractName;
use amends_schemas::topology::StreamSpec;

use crate::{Nats, NatsError};

/// A pull consumer.
pub type PullConsumer = async_nats::jetstream::consumer::Consumer<async_nats::jetstream::consumer::pull::Config>;

impl Nats {
    /// Makes every stream be as specified. Idempotent; to be called at start and again on any sign of trouble.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn ensure_streams(&self) -> Result<(), NatsError> {
        unimplemented!()
    }

    /// The durable consumer of one contract's commands, made when missing. Ensures the streams first.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn command_consumer(&self, _contract: &ContractName) -> Result<PullConsumer, NatsError> {
        unimplemented!()
    }

    /// The durable consumer of a context's domain events, by CloudEvents type. Ensures the streams first.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn event_consumer(&self, _context: &str, _event_types: &[String]) -> Result<PullConsumer, NatsError> {
        unimplemented!()
    }

    /// What tells this life of a stream from another one of the same name (when it was created); `None` when there is
    /// none. When it changes, everything the stream held is gone and must be published again.
    ///
    /// # Errors
    /// [`NatsError::Unavailable`].
    pub async fn stream_incarnation(&self, _stream: &StreamSpec) -> Result<Option<String>, NatsError> {
        unimplemented!()
    }
}
