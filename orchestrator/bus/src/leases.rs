//! Who tries for a partition: one key each in a bucket whose entries end by themselves.
//!
//! The bucket holds nothing that matters: when it is lost it is made again, and when two hold the same lease the journal
//! decides. It lives in the server's memory, for a lease does not outlast its server by more than its few seconds anyway.

use std::collections::HashMap;

use amends_engine::ports::{Hold, LeaseError, Leases};
use amends_nats::Nats;
use amends_schemas::ids::PartitionId;
use amends_schemas::topology::{LEASE_BUCKET, LEASE_TTL};
use async_nats::jetstream::kv::{Config, CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::StorageType;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

/// Leases in a JetStream key-value bucket.
#[derive(Debug)]
pub struct NatsLeases {
    nats: Nats,
    owner: Bytes,
    bucket: Mutex<Option<Store>>,
    /// The revision of each lease we hold, to extend just that one.
    revisions: std::sync::Mutex<HashMap<PartitionId, u64>>,
}

impl NatsLeases {
    /// Leases held as `owner`, which must differ from every other process's, earlier runs included.
    pub fn new(nats: Nats, owner: &str) -> Self {
        Self {
            nats,
            owner: Bytes::copy_from_slice(owner.as_bytes()),
            bucket: Mutex::default(),
            revisions: std::sync::Mutex::default(),
        }
    }

    async fn bucket(&self) -> Result<Store, LeaseError> {
        let mut bucket = self.bucket.lock().await;
        if let Some(bucket) = &*bucket {
            return Ok(bucket.clone());
        }
        let config = Config {
            bucket: LEASE_BUCKET.to_owned(),
            description: "who tries to own which partition".to_owned(),
            max_age: LEASE_TTL,
            history: 1,
            storage: StorageType::Memory,
            num_replicas: self.nats.replicas(),
            ..Config::default()
        };
        let made = self.nats.jetstream().create_or_update_key_value(config).await.map_err(|error| failed(&error))?;
        *bucket = Some(made.clone());
        Ok(made)
    }

    fn revision(&self, partition: PartitionId) -> Option<u64> {
        self.revisions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&partition).copied()
    }

    fn set_revision(&self, partition: PartitionId, revision: Option<u64>) {
        let mut revisions = self.revisions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match revision {
            Some(revision) => revisions.insert(partition, revision),
            None => revisions.remove(&partition),
        };
    }

    async fn try_hold(&self, partition: PartitionId) -> Result<Hold, LeaseError> {
        let bucket = self.bucket().await?;
        let key = partition.to_string();
        if let Some(revision) = self.revision(partition) {
            match bucket.update(&key, self.owner.clone(), revision).await {
                Ok(revision) => {
                    self.set_revision(partition, Some(revision));
                    return Ok(Hold::Kept);
                }
                // It ended, went to somebody else, or an extension whose answer was lost counts after all.
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    self.set_revision(partition, None);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        match bucket.create(&key, self.owner.clone()).await {
            Ok(revision) => {
                self.set_revision(partition, Some(revision));
                Ok(Hold::Acquired)
            }
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let entry = bucket.entry(&key).await.map_err(|error| failed(&error))?;
                match entry.filter(|entry| entry.operation == Operation::Put) {
                    Some(entry) if entry.value == self.owner => {
                        self.set_revision(partition, Some(entry.revision));
                        Ok(Hold::Kept)
                    }
                    Some(entry) => Ok(Hold::Other { owner: String::from_utf8_lossy(&entry.value).into_owned() }),
                    None => Err(LeaseError("it changes hands at this moment".to_owned())),
                }
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl Leases for NatsLeases {
    async fn hold(&self, partition: PartitionId) -> Result<Hold, LeaseError> {
        let held = self.try_hold(partition).await;
        if held.is_err() {
            // The bucket may be gone; it is made again at the next try.
            *self.bucket.lock().await = None;
        }
        held
    }

    async fn release(&self, partition: PartitionId) {
        let Some(revision) = self.revision(partition) else { return };
        self.set_revision(partition, None);
        if let Ok(bucket) = self.bucket().await
            && let Err(error) = bucket.delete_expect_revision(partition.to_string(), Some(revision)).await
        {
            tracing::debug!(%partition, %error, "a lease cannot be given back; it ends by itself");
        }
    }
}

fn failed(error: &dyn std::error::Error) -> LeaseError {
    LeaseError(match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}
