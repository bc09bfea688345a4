//! A row of `saga`, as it is listed.

use std::collections::BTreeSet;

use amends_engine::ports::StoreError;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{SagaStatus, SagaSummary};
use chrono::{DateTime, Utc};
use surrealdb::types::{Datetime, RecordId, SurrealValue};

use crate::keys::rank_of;
use crate::rows::saga_id_of;

/// All columns but the blob.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct ListedRow {
    id: RecordId,
    rank: String,
    keys: Vec<String>,
    definition: String,
    version: i64,
    status: String,
    paused: bool,
    waiting_for: Option<String>,
    tags: Vec<String>,
    created_at: Datetime,
    updated_at: Datetime,
}

impl ListedRow {
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|other| other == key)
    }

    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    pub(crate) fn paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn definition(&self) -> &str {
        &self.definition
    }

    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    pub(crate) fn created_at(&self) -> DateTime<Utc> {
        self.created_at.into_inner()
    }

    pub(crate) fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at.into_inner()
    }

    /// Its place in the order in which sagas were accepted.
    pub(crate) fn rank(&self) -> &str {
        &self.rank
    }

    /// Its place in the order of changes: as it stands in the column `turn`, which rows of earlier versions lack.
    pub(crate) fn turn(&self) -> Result<String, StoreError> {
        Ok(rank_of(self.updated_at(), self.saga_id()?))
    }

    fn saga_id(&self) -> Result<SagaId, StoreError> {
        saga_id_of(&self.id)
    }

    pub(crate) fn into_summary(self) -> Result<SagaSummary, StoreError> {
        let saga_id = self.saga_id()?;
        let (created_at, updated_at) = (self.created_at(), self.updated_at());
        let status = status_of(&self.status).ok_or_else(|| {
            StoreError::Damaged(format!(
                "the row of saga {saga_id} has status {}, which this version does not know",
                self.status
            ))
        })?;
        let version = u32::try_from(self.version)
            .map_err(|_| StoreError::Damaged(format!("the row of saga {saga_id} has version {}", self.version)))?;
        Ok(SagaSummary {
            saga_id,
            definition: self.definition,
            version,
            status,
            paused: self.paused,
            waiting_for: self.waiting_for,
            tags: self.tags.into_iter().collect::<BTreeSet<_>>(),
            created_at,
            updated_at,
        })
    }
}

/// A status as it stands in a column.
pub(crate) fn status_of(text: &str) -> Option<SagaStatus> {
    SagaStatus::ALL.into_iter().find(|status| status.as_str() == text)
}
