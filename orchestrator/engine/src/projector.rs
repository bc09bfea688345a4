//! Writes changed sagas into the view, one batch at a time, until the database takes it.

use std::sync::Arc;

use amends_schemas::ids::PartitionId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::dispatcher::longer;
use crate::partition::memory::Batch;
use crate::ports::{Store, StoreError};
use crate::request::Internal;
use crate::settings::EngineSettings;
use crate::status::StatusCell;

/// What projecting needs.
pub(crate) struct Projecting {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) partition: PartitionId,
    pub(crate) epoch: u64,
    pub(crate) settings: Arc<EngineSettings>,
    pub(crate) internal: mpsc::UnboundedSender<Internal>,
    pub(crate) status: StatusCell,
}

/// Starts the projector. The loop hands it one batch and waits for [`Internal::Projected`] before the next.
pub(crate) fn spawn(projecting: Projecting) -> (mpsc::Sender<Arc<Batch>>, JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::channel::<Arc<Batch>>(1);
    let task = tokio::spawn(async move {
        while let Some(batch) = receiver.recv().await {
            let result = write(&projecting, &batch).await;
            let fenced = result.is_err();
            let _ = projecting.internal.send(Internal::Projected { result });
            if fenced {
                return;
            }
        }
    });
    (sender, task)
}

/// Writes until it is in, or until it is clear that it must not be.
async fn write(projecting: &Projecting, batch: &Batch) -> Result<(), StoreError> {
    let mut delay = projecting.settings.store_retry_min;
    loop {
        let result =
            projecting.store.project(projecting.partition, projecting.epoch, batch.checkpoint, &batch.sagas).await;
        let error = match result {
            Ok(()) => {
                projecting.status.update(|status| {
                    status.projected = batch.checkpoint;
                    status.trouble = None;
                });
                return Ok(());
            }
            Err(error @ StoreError::Fenced { .. }) => return Err(error),
            Err(error) => error,
        };
        match error {
            StoreError::Unavailable(_) => {
                tracing::debug!(partition = %projecting.partition, %error, "the view cannot be written yet");
            }
            // Sagas go on: the journal has everything. But lists grow old, and a person must look.
            StoreError::Damaged(_)
            | StoreError::Unread(_)
            | StoreError::PartitionCount { .. }
            | StoreError::Invalid(_)
            | StoreError::Fenced { .. } => {
                tracing::error!(partition = %projecting.partition, %error, "the view cannot be written");
            }
        }
        projecting.status.update(|status| status.trouble = Some(error.to_string()));
        tokio::time::sleep(delay).await;
        delay = longer(delay, projecting.settings.store_retry_max);
    }
}
