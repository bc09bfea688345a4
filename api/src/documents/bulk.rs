//! Bulk operations: twins of the wire types in `amends_schemas::bulk`.

use amends_schemas::saga::SagaStatus;
use amends_schemas::search::{Age, SagaFilter};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{SagaStatusDocument, SagaSummaryDocument};

/// Which sagas: all that meet every criterion given. At least one must be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SagaFilter)]
pub struct SagaFilterDocument {
    /// With this status, or one of several.
    #[serde(default)]
    #[schema(value_type = OneOrMany<SagaStatusDocument>)]
    pub status: OneOrMany<SagaStatus>,
    /// Paused, or not.
    pub paused: Option<bool>,
    /// Of this definition.
    pub definition: Option<String>,
    /// Of this version of the definition.
    #[schema(minimum = 1)]
    pub version: Option<u32>,
    /// At this step: in flight, backing off, stuck or cleanly failed.
    #[schema(max_length = 128)]
    pub step: Option<String>,
    /// The last error of such a step has this code.
    #[schema(max_length = 128)]
    pub error: Option<String>,
    /// The last errors of such steps hold all these words.
    #[schema(max_length = 256)]
    pub text: Option<String>,
    /// With this tag, or with all of several.
    #[serde(default)]
    #[schema(value_type = OneOrMany<String>)]
    pub tag: OneOrMany<String>,
    /// With a tag that begins so.
    #[schema(max_length = 64)]
    pub tag_prefix: Option<String>,
    /// Accepted then or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Accepted before.
    pub created_to: Option<DateTime<Utc>>,
    /// Last changed then or later.
    pub updated_from: Option<DateTime<Utc>>,
    /// Last changed before.
    pub updated_to: Option<DateTime<Utc>>,
    /// Accepted at least so long before the operation was created: a number of `s`, `m`, `h` or `d`.
    #[schema(value_type = Option<String>, pattern = "^[0-9]+[smhd]$", example = "15m")]
    pub older_than: Option<Age>,
}

/// One value, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl From<SagaFilterDocument> for SagaFilter {
    fn from(filter: SagaFilterDocument) -> Self {
        Self {
            status: filter.status.into_vec(),
            paused: filter.paused,
            definition: filter.definition,
            version: filter.version,
            step: filter.step,
            error: filter.error,
            text: filter.text,
            tag: filter.tag.into_vec(),
            tag_prefix: filter.tag_prefix,
            created_from: filter.created_from,
            created_to: filter.created_to,
            updated_from: filter.updated_from,
            updated_to: filter.updated_to,
            older_than: filter.older_than,
        }
    }
}

/// What a bulk operation would touch, if it were begun now.
#[derive(ToSchema)]
#[schema(as = BulkPreview)]
pub struct BulkPreviewDocument {
    /// Always `previewed`: nothing is changed or kept.
    #[schema(example = "previewed")]
    pub status: String,
    /// How many sagas.
    #[schema(minimum = 0)]
    pub count: u64,
    /// There may be more: the count stopped at its bound.
    pub at_least: bool,
    /// The first of them, in the order in which they would be operated.
    pub items: Vec<SagaSummaryDocument>,
}

/// A verb over every saga that a filter finds.
#[derive(ToSchema)]
#[schema(as = BulkOperation)]
pub struct BulkOperationDocument {
    /// Its id; it stands in the history of every saga it touches.
    pub bulk_id: Uuid,
    /// What is done.
    pub verb: BulkVerbDocument,
    /// With `retry`, `skip` and `resolve`: to which step; the one each saga waits at unless given.
    #[schema(required = false)]
    pub step: Option<String>,
    /// With `terminate`: always true.
    #[schema(required = false)]
    pub force: Option<bool>,
    /// With `resolve`: how the step really ended.
    #[schema(required = false)]
    pub resolution: Option<Value>,
    /// To which sagas: those that it finds among the ones accepted before it was created.
    pub filter: SagaFilterDocument,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Most sagas operated in a second.
    #[schema(minimum = 1)]
    pub per_second: u32,
    /// Where it stands.
    pub status: BulkStatusDocument,
    /// How many sagas the filter found when it was created.
    pub matched: super::SagaCountDocument,
    /// So many have been operated, each of them once.
    #[schema(minimum = 0)]
    pub done: u64,
    /// So many have refused, because their state did not allow it or because they are parked.
    #[schema(minimum = 0)]
    pub refused: u64,
    /// Why, by code.
    pub refusals: Vec<RefusalCountDocument>,
    /// The first hundred of them.
    pub examples: Vec<RefusalDocument>,
    /// What people have done with it, oldest first.
    pub changes: Vec<BulkChangeDocument>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What is done to each saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = BulkVerb, rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum BulkVerbDocument {
    /// Dispatch nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Try now.
    Retry,
    /// Go back to a step and go on from there.
    RetryFrom,
    /// Pass over.
    Skip,
    /// Say how it ended.
    Resolve,
    /// Make amends, or start the saga that cancels.
    Cancel,
    /// End without amends.
    Terminate,
}

/// Where a bulk operation stands.
#[derive(ToSchema)]
#[schema(as = BulkStatus, rename_all = "snake_case")]
pub enum BulkStatusDocument {
    /// Going through its sagas.
    Running,
    /// Somebody has paused it.
    Paused,
    /// Every saga that was found has been operated or has refused.
    Done,
    /// Somebody has ended it; what is done stays done.
    Cancelled,
}

/// How many sagas refused for one reason.
#[derive(ToSchema)]
#[schema(as = RefusalCount)]
pub struct RefusalCountDocument {
    /// The reason's code.
    #[schema(example = "illegal_here")]
    pub code: String,
    /// How many.
    #[schema(minimum = 1)]
    pub count: u64,
}

/// A saga that refused.
#[derive(ToSchema)]
#[schema(as = Refusal)]
pub struct RefusalDocument {
    /// Which.
    pub saga_id: Uuid,
    /// The reason's code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A change by hand.
#[derive(ToSchema)]
#[schema(as = BulkChange)]
pub struct BulkChangeDocument {
    /// `pause`, `resume` or `cancel`.
    pub verb: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}
