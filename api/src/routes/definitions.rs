//! Definitions, as any orchestrator serves them.

use amends_schemas::problem::Problem;
use amends_schemas::saga::{DefinitionView, Page as WirePage};
use amends_schemas::subjects::ORCHESTRATOR_DEFINITIONS;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::documents::Page;
use crate::extract::PathOf;
use crate::problems::ProblemDocument;
use crate::state::{Api, Outcome, ok};

/// One line of the list of definitions.
#[derive(Debug, Serialize, ToSchema)]
pub struct DefinitionSummary {
    /// Its name.
    #[schema(example = "registration")]
    pub name: String,
    /// Its version.
    #[schema(minimum = 1)]
    pub version: u32,
    /// Its content hash.
    pub hash: String,
    /// One line for people.
    pub title: String,
}

/// A definition.
#[derive(ToSchema)]
#[schema(as = Definition)]
#[expect(dead_code, reason = "only described")]
pub struct DefinitionDocument {
    /// Its name.
    #[schema(example = "registration")]
    name: String,
    /// Its version.
    #[schema(minimum = 1)]
    version: u32,
    /// Its content hash.
    hash: String,
    /// One line for people.
    title: String,
    /// JSON Schema of the input.
    input: Value,
    /// The document as it was written.
    source: String,
}

/// List the definitions served.
#[utoipa::path(get, path = "/v1/definitions", tag = "definitions",
    responses((status = 200, description = "All of them, by name and version", body = Page<DefinitionSummary>)))]
pub async fn list_definitions(State(api): State<Api>) -> Outcome {
    let mut items: Vec<DefinitionSummary> = definitions(&api)
        .await?
        .into_iter()
        .map(|DefinitionView { name, version, hash, title, .. }| DefinitionSummary { name, version, hash, title })
        .collect();
    items.sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
    ok(WirePage { items, next_cursor: None })
}

/// Read a definition.
#[utoipa::path(get, path = "/v1/definitions/{name}/{version}", tag = "definitions",
    params(("name" = String, Path, description = "Its name"), ("version" = u32, Path, description = "Its version")),
    responses(
        (status = 200, description = "The definition", body = DefinitionDocument),
        (status = 404, description = "`definition_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_definition(State(api): State<Api>, PathOf((name, version)): PathOf<(String, u32)>) -> Outcome {
    let found = definitions(&api).await?.into_iter().find(|known| known.name == name && known.version == version);
    let definition = found.ok_or_else(|| {
        Problem::not_found("definition_not_found", format!("No definition {name}@{version} is served."))
    })?;
    ok(definition)
}

async fn definitions(api: &Api) -> Result<Vec<DefinitionView>, Problem> {
    api.asking.orchestrator(ORCHESTRATOR_DEFINITIONS, &json!({})).await
}
