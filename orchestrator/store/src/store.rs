//! The store itself: one method, one file beside this one.

use amends_database::{Database, DatabaseError};
use amends_engine::ports::{JournalRecord, ParkedFacts, Recovered, Rekeyed, StandingOf, Store, StoreError, StoredSaga};
use amends_engine::retention::Retain;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use amends_schemas::search::{SagaCount, SagaCounts, SagaFilter};
use async_trait::async_trait;

use crate::commit::Commits;
use crate::known::KnownSagas;
use crate::project::Checkpoint;
use crate::{count, deployment, journal, list, park, project, recover, rekey, schema, tally};

/// The journal and its view in one SurrealDB database, embedded or remote. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SurrealStore {
    pub(crate) database: Database,
    known: KnownSagas,
    commits: Commits,
}

impl SurrealStore {
    /// Defines the tables that are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open(database: Database) -> Result<Self, StoreError> {
        schema::define(&database).await?;
        let commits = Commits::into(database.clone());
        Ok(Self { known: KnownSagas::new(database.clone()), commits, database })
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

/// What the caller should try again. Errors that are our own mistake land here as well: for a journal, stopping to answer is
/// right, and the text tells people why.
pub(crate) fn unavailable(doing: &str, error: &DatabaseError) -> StoreError {
    StoreError::Unavailable(format!("{doing}: {error}"))
}

#[async_trait]
impl Store for SurrealStore {
    async fn establish(
        &self,
        requested: Option<PartitionCount>,
        default: PartitionCount,
    ) -> Result<PartitionCount, StoreError> {
        let partition_count = deployment::establish(&self.database, requested, default).await?;
        self.known.establish(partition_count);
        Ok(partition_count)
    }

    fn is_exclusive(&self) -> bool {
        self.database.is_embedded()
    }

    fn default_partition_count(&self) -> PartitionCount {
        deployment::default_partition_count(self.database.is_embedded())
    }

    async fn recover(&self, partition: PartitionId) -> Result<Recovered, StoreError> {
        let recovered = recover::recover(&self.database, partition).await?;
        self.known.taken_over(partition);
        Ok(recovered)
    }

    async fn append(&self, record: &JournalRecord) -> Result<(), StoreError> {
        self.commits.append(record).await
    }

    async fn project(
        &self,
        partition: PartitionId,
        epoch: u64,
        checkpoint: u64,
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError> {
        project::project(&self.database, &self.known, partition, Checkpoint { epoch, position: checkpoint }, sagas)
            .await
    }

    async fn park(&self, partition: PartitionId, epoch: u64, parked: &[ParkedFacts]) -> Result<(), StoreError> {
        park::park(&self.database, partition, epoch, parked).await
    }

    fn surely_absent(&self, saga_id: SagaId) -> bool {
        self.known.surely_absent(saga_id)
    }

    async fn load(&self, saga_id: SagaId) -> Result<Option<StoredSaga>, StoreError> {
        if self.known.surely_absent(saga_id) {
            return Ok(None);
        }
        recover::load(&self.database, saga_id).await
    }

    async fn list(&self, query: &ListSagas) -> Result<Page<SagaSummary>, StoreError> {
        list::list(&self.database, query).await
    }

    async fn count(&self, filter: &SagaFilter) -> Result<SagaCount, StoreError> {
        count::count(&self.database, filter).await
    }

    async fn counts(&self) -> Result<SagaCounts, StoreError> {
        tally::counts(&self.database).await
    }

    async fn rekey(&self, standing: StandingOf<'_>) -> Result<Rekeyed, StoreError> {
        rekey::rekey(&self.database, standing).await
    }

    async fn records(&self, partition: PartitionId, positions: &[u64]) -> Result<Vec<JournalRecord>, StoreError> {
        journal::records(&self.database, partition, positions).await
    }

    fn retention(&self) -> &dyn Retain {
        self
    }
}
