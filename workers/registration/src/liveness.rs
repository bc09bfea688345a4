//! The port through which this context learns whether a saga still lives. The binary plugs in who really knows: the owner of
//! the saga's partition.

use std::fmt;

use amends_schemas::ids::SagaId;
use async_trait::async_trait;

/// Nobody could say at the moment; asked again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("whether the saga lives is not known: {0}")]
pub struct LivenessUnknown(pub String);

/// Knows whether a saga still lives.
#[async_trait]
pub trait SagaLiveness: fmt::Debug + Send + Sync + 'static {
    /// `true` while the saga may still use what it holds (running, compensating, stuck, paused); `false` when it is completed or
    /// compensated, or there is no such saga. Must not answer `false` on a guess: a seat that is paid for would be given away.
    ///
    /// # Errors
    /// [`LivenessUnknown`] when nobody answers.
    async fn is_alive(&self, saga_id: SagaId) -> Result<bool, LivenessUnknown>;
}

/// Takes every saga for alive: no hold ever expires, only a saga's own undo releases it. The safe choice where nobody can be
/// asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysAlive;

#[async_trait]
impl SagaLiveness for AlwaysAlive {
    async fn is_alive(&self, _saga_id: SagaId) -> Result<bool, LivenessUnknown> {
        Ok(true)
    }
}
