//! Which sagas: the questions that lists and counts share.

use amends_schemas::saga::{ListSagas, Page as WirePage, SagaStatus, SagaSummary};
use amends_schemas::search::{Age, SagaCount, SagaCounts, SagaFilter, SagaSort};
use amends_schemas::subjects::{ORCHESTRATOR_COUNT, ORCHESTRATOR_COUNTS, ORCHESTRATOR_LIST};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use crate::documents::{Page, SagaCountDocument, SagaCountsDocument, SagaStatusDocument, SagaSummaryDocument};
use crate::extract::QueryOf;
use crate::problems::ApiProblem;
use crate::routes::paging::page;
use crate::state::{Api, Outcome, ok};

/// A query with every criterion of a filter, and more of its own. One list of criteria, because a query is read as a whole: what is not
/// named in it is refused.
macro_rules! saga_query {
    ($(#[$about:meta])* $name:ident { $($more:tt)* }) => {
        $(#[$about])*
        #[derive(Debug, Deserialize, IntoParams)]
        #[into_params(parameter_in = Query)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Only with one of these statuses, separated by commas.
            #[param(value_type = Option<Vec<SagaStatusDocument>>, style = Form, explode = false, inline)]
            status: Option<String>,
            /// Only of this definition.
            definition: Option<String>,
            /// Only of this version of the definition.
            #[param(minimum = 1)]
            version: Option<u32>,
            /// Only those at this step: in flight, backing off, stuck or cleanly failed.
            #[param(max_length = 128)]
            step: Option<String>,
            /// Only where the last error of such a step has this code.
            #[param(max_length = 128)]
            error: Option<String>,
            /// Only where the last errors of such steps hold all these words.
            #[param(max_length = 256, example = "card declined")]
            text: Option<String>,
            /// Only with all these tags, separated by commas. A business key is a tag `<kind>_<value>`.
            #[param(value_type = Option<Vec<String>>, style = Form, explode = false)]
            tag: Option<String>,
            /// Only with a tag that begins so.
            #[param(max_length = 64, example = "event_")]
            tag_prefix: Option<String>,
            /// Short for `status=stuck`.
            stuck: Option<bool>,
            /// Only paused ones, or only those that are not.
            paused: Option<bool>,
            /// Only those accepted then or later.
            created_from: Option<DateTime<Utc>>,
            /// Only those accepted before.
            created_to: Option<DateTime<Utc>>,
            /// Only those last changed then or later.
            updated_from: Option<DateTime<Utc>>,
            /// Only those last changed before.
            updated_to: Option<DateTime<Utc>>,
            /// Only those accepted at least so long ago: a number of `s`, `m`, `h` or `d`.
            #[param(pattern = "^[0-9]+[smhd]$", example = "15m")]
            older_than: Option<String>,
            $($more)*
        }

        impl $name {
            fn filter(&mut self) -> Result<SagaFilter, ApiProblem> {
                checked(SagaFilter {
                    status: statuses(self.status.as_deref(), self.stuck)?,
                    paused: self.paused,
                    definition: self.definition.take(),
                    version: self.version,
                    step: self.step.take(),
                    error: self.error.take(),
                    text: self.text.take(),
                    tag: separated(self.tag.as_deref()).map(str::to_owned).collect(),
                    tag_prefix: self.tag_prefix.take(),
                    created_from: self.created_from,
                    created_to: self.created_to,
                    updated_from: self.updated_from,
                    updated_to: self.updated_to,
                    older_than: self.older_than.as_deref().map(age).transpose()?,
                })
            }
        }
    };
}

saga_query! {
    /// Which sagas, in which order, from where on.
    SagaQuery {
        /// `-created`: accepted last, first. `created`: accepted first, first. `-updated` and `updated`: by the last change; a saga
        /// that changes meanwhile changes its place.
        #[param(value_type = Option<SagaSortDocument>, inline)]
        sort: Option<SagaSort>,
        /// Where the last page ended.
        cursor: Option<String>,
        /// Items on a page, 1 to 200; 50 unless given.
        #[param(minimum = 1, maximum = 200)]
        limit: Option<usize>,
    }
}

saga_query! {
    /// Which sagas.
    SagaCountQuery {}
}

/// In which order.
#[derive(utoipa::ToSchema)]
#[schema(as = SagaSort)]
pub enum SagaSortDocument {
    /// Accepted last, first.
    #[schema(rename = "-created")]
    NewestFirst,
    /// Accepted first, first.
    #[schema(rename = "created")]
    OldestFirst,
    /// Changed last, first.
    #[schema(rename = "-updated")]
    ChangedLastFirst,
    /// Changed first, first.
    #[schema(rename = "updated")]
    ChangedFirstFirst,
}

fn invalid(message: String) -> ApiProblem {
    ApiProblem::bad_request("invalid_query", message)
}

/// What stands between commas.
fn separated(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|list| list.split(','))
}

fn statuses(named: Option<&str>, stuck: Option<bool>) -> Result<Vec<SagaStatus>, ApiProblem> {
    let status = |name: &str| {
        let known = SagaStatus::ALL.into_iter().find(|status| status.as_str() == name);
        known.ok_or_else(|| invalid(format!("{name:?} is no status.")))
    };
    let statuses = separated(named).map(status).collect::<Result<Vec<_>, _>>()?;
    match (stuck, &statuses[..]) {
        (Some(true), [] | [SagaStatus::Stuck]) => Ok(vec![SagaStatus::Stuck]),
        (Some(true), _) => Err(invalid("stuck=true and another status contradict.".to_owned())),
        (Some(false) | None, _) => Ok(statuses),
    }
}

fn age(text: &str) -> Result<Age, ApiProblem> {
    text.parse().map_err(|error| invalid(format!("older_than: {error}.")))
}

fn checked(filter: SagaFilter) -> Result<SagaFilter, ApiProblem> {
    filter.check().map_err(|error| invalid(format!("{error}.")))?;
    Ok(filter)
}

/// List sagas, newest first unless asked otherwise. What a page costs is bounded: one that finds little among much is short, or
/// empty, and still has a `next_cursor`; only a page without one is the last.
#[utoipa::path(get, path = "/v1/sagas", tag = "sagas", params(SagaQuery),
    responses((status = 200, description = "A page", body = Page<SagaSummaryDocument>)))]
pub async fn list_sagas(State(api): State<Api>, QueryOf(mut query): QueryOf<SagaQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor.take(), query.limit)?;
    let (sort, filter) = (query.sort.unwrap_or_default(), query.filter()?);
    let question = ListSagas { filter, sort, cursor, limit: Some(limit) };
    let sagas: WirePage<SagaSummary> = api.asking.orchestrator(ORCHESTRATOR_LIST, &question).await?;
    ok(sagas)
}

/// Count sagas. Exact by status and definition; otherwise at a bounded cost, and then `at_least` says that there may be more.
#[utoipa::path(get, path = "/v1/sagas/count", tag = "sagas", params(SagaCountQuery),
    responses((status = 200, description = "How many", body = SagaCountDocument)))]
pub async fn count_sagas(State(api): State<Api>, QueryOf(mut query): QueryOf<SagaCountQuery>) -> Outcome {
    let count: SagaCount = api.asking.orchestrator(ORCHESTRATOR_COUNT, &query.filter()?).await?;
    ok(count)
}

/// Count all sagas, by status and by definition.
#[utoipa::path(get, path = "/v1/sagas/counts", tag = "sagas",
    responses((status = 200, description = "How many of each", body = SagaCountsDocument)))]
pub async fn get_saga_counts(State(api): State<Api>) -> Outcome {
    let counts: SagaCounts = api.asking.orchestrator(ORCHESTRATOR_COUNTS, &json!({})).await?;
    ok(counts)
}
