//! Counts of sagas: twins of the wire types in `amends_schemas::search`.

use utoipa::ToSchema;

use super::SagaStatusDocument;

/// How many sagas were found.
#[derive(ToSchema)]
#[schema(as = SagaCount)]
pub struct SagaCountDocument {
    /// So many.
    #[schema(minimum = 0)]
    pub count: u64,
    /// There may be more: the count stopped at its bound.
    pub at_least: bool,
}

/// How many sagas there are.
#[derive(ToSchema)]
#[schema(as = SagaCounts)]
pub struct SagaCountsDocument {
    /// All together.
    #[schema(minimum = 0)]
    pub total: u64,
    /// Of all definitions, every status.
    pub statuses: Vec<StatusCountDocument>,
    /// Of each definition, by name.
    pub definitions: Vec<DefinitionCountsDocument>,
    /// Whether all are counted: after an upgrade, sagas of earlier versions are added in the background.
    pub complete: bool,
}

/// How many sagas have a status.
#[derive(ToSchema)]
#[schema(as = StatusCount)]
pub struct StatusCountDocument {
    /// Which.
    pub status: SagaStatusDocument,
    /// So many, paused ones among them.
    #[schema(minimum = 0)]
    pub count: u64,
    /// So many of them are paused.
    #[schema(minimum = 0)]
    pub paused: u64,
}

/// How many sagas a definition has.
#[derive(ToSchema)]
#[schema(as = DefinitionCounts)]
pub struct DefinitionCountsDocument {
    /// Which, all versions together.
    pub definition: String,
    /// All together.
    #[schema(minimum = 0)]
    pub total: u64,
    /// By status; those that no saga has are left out.
    pub statuses: Vec<StatusCountDocument>,
}
