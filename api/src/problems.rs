//! Errors as HTTP says them: `application/problem+json` (RFC 9457) with a stable `code`. Status codes stand only here and
//! in the routes that answer well.

use amends_schemas::problem::{FieldError, Problem, ProblemKind};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// When a caller that was told "not now" may ask again, in seconds. About the time in which a lost orchestrator is
/// replaced.
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The one table from what a problem is to how HTTP calls it.
pub const fn status_of(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::Conflict => StatusCode::CONFLICT,
        ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemKind::Forbidden => StatusCode::FORBIDDEN,
        ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A problem on its way to a client.
#[derive(Debug, Clone)]
pub struct ApiProblem {
    status: StatusCode,
    problem: Problem,
}

impl ApiProblem {
    /// What is wrong with the request as HTTP: not well-formed, where [`ProblemKind::Invalid`] means well-formed but
    /// against a rule.
    pub fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem: Problem::invalid(code, message) }
    }

    /// As [`Self::bad_request`], with the offending places.
    pub fn bad_request_at(code: &str, message: impl Into<String>, errors: Vec<FieldError>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem: Problem::invalid(code, message).with_errors(errors) }
    }

    /// The body is of a kind that is not read here.
    pub fn unsupported_media_type() -> Self {
        Self {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            problem: Problem::invalid(
                "unsupported_media_type",
                "Send the body as JSON: Content-Type: application/json.",
            ),
        }
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.problem.code
    }

    /// What the caller can do about it.
    pub const fn kind(&self) -> ProblemKind {
        self.problem.kind
    }
}

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        Self { status: status_of(problem.kind), problem }
    }
}

/// An error as clients read it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// A name for this kind of problem: `urn:amends:problem:<code>`.
    #[schema(example = "urn:amends:problem:event_not_found")]
    pub r#type: String,
    /// The status in words.
    #[schema(example = "Not Found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    pub status: u16,
    /// A sentence for people, which says what to do instead where it can.
    pub detail: String,
    /// Stable, in `snake_case`, for programs.
    #[schema(example = "event_not_found")]
    pub code: String,
    /// The offending places of the request, if they can be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One offending place of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// JSON Pointer (RFC 6901) into the request body.
    #[schema(example = "/attendee/email")]
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// Rides on the response so that the access log can name the problem.
#[derive(Debug, Clone)]
pub struct ProblemCode(pub String);

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let Self { status, problem } = self;
        let document = ProblemDocument {
            r#type: format!("urn:amends:problem:{}", problem.code),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: problem.message,
            code: problem.code.clone(),
            errors: problem
                .errors
                .into_iter()
                .map(|error| FieldProblem { pointer: error.pointer, message: error.message })
                .collect(),
        };
        let body = serde_json::to_vec(&document).expect("a struct of strings and numbers is always JSON");
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response.extensions_mut().insert(ProblemCode(problem.code));
        response
    }
}

/// A path that is not served.
pub async fn no_such_route(uri: Uri) -> ApiProblem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found("route_not_found", format!("Nothing is served at {path}; see /openapi.json.")).into()
}

/// A path that is served, but not so.
pub async fn no_such_method(method: Method, uri: Uri) -> ApiProblem {
    let path: String = uri.path().chars().take(200).collect();
    ApiProblem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        problem: Problem::invalid(
            "method_not_allowed",
            format!("{method} is not served at {path}; see the Allow header and /openapi.json."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        for (kind, status) in [
            (ProblemKind::Invalid, 422),
            (ProblemKind::NotFound, 404),
            (ProblemKind::Conflict, 409),
            (ProblemKind::TooLarge, 413),
            (ProblemKind::Forbidden, 403),
            (ProblemKind::Unavailable, 503),
            (ProblemKind::Internal, 500),
        ] {
            let response = ApiProblem::from(Problem::new(kind, "some_code", "Some words.")).into_response();
            assert_eq!(response.status().as_u16(), status, "{kind:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), kind == ProblemKind::Unavailable);
        }
    }
}
