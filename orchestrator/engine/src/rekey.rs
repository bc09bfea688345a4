//! After an upgrade: the view's rows are brought up to what this version searches by.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_core::standing::standing;
use amends_core::state::SagaState;
use async_trait::async_trait;

use crate::chore::Chore;
use crate::dispatcher::longer;
use crate::ports::{Rekeyed, Store, StoreError};

/// Between two pages: sagas come first.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// First and longest wait after a page that could not be written.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Brings rows of earlier versions up to date, and is done.
pub struct Rekeying {
    /// Whose rows.
    pub store: Arc<dyn Store>,
    /// What names the steps at which sagas stand.
    pub library: Arc<DefinitionLibrary>,
}

#[async_trait]
impl Chore for Rekeying {
    fn name(&self) -> &'static str {
        "rekey"
    }

    async fn run(&self) {
        // A saga whose definition this binary lacks is found by everything but its step.
        let standing = |state: &SagaState| {
            self.library.resolve(&state.definition).map(|definition| standing(definition, state)).unwrap_or_default()
        };
        let (mut wait, mut total) = (RETRY_MIN, 0);
        loop {
            match self.store.rekey(&standing).await {
                Ok(Rekeyed::More { changed }) => {
                    total += changed;
                    wait = RETRY_MIN;
                    tokio::time::sleep(PAGE_PAUSE).await;
                }
                Ok(Rekeyed::Done) => {
                    if total > 0 {
                        tracing::info!(saga_count = total, "sagas of earlier versions can be searched for");
                    }
                    return;
                }
                Err(error) => {
                    match error {
                        StoreError::Unavailable(_) => tracing::debug!(%error, "rows cannot be brought up to date yet"),
                        StoreError::Damaged(_)
                        | StoreError::Fenced { .. }
                        | StoreError::Unread(_)
                        | StoreError::PartitionCount { .. }
                        | StoreError::Invalid(_) => tracing::error!(%error, "rows cannot be brought up to date"),
                    }
                    tokio::time::sleep(wait).await;
                    wait = longer(wait, RETRY_MAX);
                }
            }
        }
    }
}
