//! A row of `saga`, as it is listed.

use std::collections::BTreeSet;

use amends_engine::ports::StoreError;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{SagaStatus, SagaSummary};
use chrono::{DateTime, Utc};
use surrealdb::types::{Datetime, RecordId, SurrealValue};

use crate::postings::Posted;
use crate::question::{BY_CREATION, Order};
use crate::rank::Rank;
use crate::rows::{saga_id, saga_id_of};

/// All columns but the blob.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct ListedRow {
    id: RecordId,
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
    /// A row of `completed`, which has none of the keys that pass.
    pub(crate) fn of_posted(posted: Posted) -> Self {
        Self {
            id: saga_id(posted.saga_id),
            keys: Vec::new(),
            definition: posted.definition,
            version: posted.version,
            status: SagaStatus::Completed.as_str().to_owned(),
            paused: false,
            waiting_for: None,
            tags: posted.tags,
            created_at: posted.created_at.into(),
            updated_at: posted.updated_at.into(),
        }
    }

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

    /// Its place in an order: as it stands in a column, which rows of earlier versions may lack.
    pub(crate) fn place(&self, order: Order) -> Result<Rank, StoreError> {
        let at = if order.keys == BY_CREATION { self.created_at() } else { self.updated_at() };
        Ok(Rank::new(at, self.saga_id()?))
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
