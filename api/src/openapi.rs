//! The OpenAPI document's frame, and what holds for every operation alike.

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use crate::problems::{FieldProblem, PROBLEM_JSON, ProblemDocument};

/// The frame; routes add themselves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Amends",
        description = "Registrations and the sagas that carry them. Errors are application/problem+json with a stable \
                       `code`; lists are `{items, next_cursor}`; times are RFC 3339 UTC; money is a decimal amount with its \
                       currency. A POST that creates takes an Idempotency-Key.",
    ),
    components(schemas(ProblemDocument, FieldProblem)),
    tags(
        (name = "events", description = "The catalog"),
        (name = "registrations", description = "One person, one event, one seat"),
        (name = "payments", description = "What was charged and given back"),
        (name = "invoices", description = "Invoices and credit notes"),
        (name = "notifications", description = "Messages to people"),
        (name = "sagas", description = "Business transactions across contexts"),
        (name = "schedules", description = "What starts sagas at given times"),
        (name = "bulk operations", description = "A verb over every saga that a filter finds"),
        (name = "definitions", description = "What sagas are made of"),
        (name = "operations", description = "For those who run it"),
    )
)]
pub struct Document;

/// How any operation may fail for a while.
const UNAVAILABLE: &str = "Somebody who is needed does not answer (`orchestrator_unavailable`, `<context>_unavailable`) or cannot do it now \
                           (`store_unavailable`); send it again after Retry-After. `definition_missing` and `record_unread`: the saga is parked \
                           until an orchestrator runs that understands it; `contract_missing`: its definition calls a contract that \
                           this one lacks";

/// Adds to every operation how it can fail in general.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for (has_body, operation) in operations(item) {
            let takes_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
            if takes_parameters || has_body {
                answer(operation, "400", "The request is not well-formed: body, path, query or header");
            }
            if has_body {
                answer(operation, "413", "The body is larger than is read here");
                answer(operation, "415", "The body is not JSON");
                answer(operation, "422", "The request breaks a rule; `errors` names the places");
            }
            answer(operation, "503", UNAVAILABLE);
            answer(operation, "default", "Any other failure");
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete]
        .into_iter()
        .flatten()
        .map(|operation| (operation.request_body.is_some(), operation))
}

fn answer(operation: &mut Operation, status: &str, description: &str) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(description)));
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem")))))
        .build()
}

/// The document as served.
///
/// # Errors
/// None in practice: it is plain data.
pub fn document() -> Result<String, serde_json::Error> {
    crate::router::openapi().to_json()
}

const _: fn() -> OpenApi = Document::openapi;
