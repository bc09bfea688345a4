//! Reading requests: bodies, paths and queries, with a problem that names the place when they are not as they should be.

use amends_schemas::problem::{FieldError, Problem, ProblemKind};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problems::ApiProblem;
use crate::state::Api;
use crate::strict;

/// A JSON body of shape `T`, and the document it was read from, to be passed on as it came.
#[derive(Debug)]
pub struct JsonBody<T> {
    /// The body, checked.
    pub body: T,
    /// The same, as it came.
    pub document: Value,
}

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &Api) -> Result<Self, ApiProblem> {
        let is_json = is_json(request.headers());
        let bytes = RawBody::from_request(request, state).await?.0;
        if !is_json {
            return Err(ApiProblem::unsupported_media_type());
        }
        read(&bytes)
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalJsonBody<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &Api) -> Result<Self, ApiProblem> {
        let is_json = is_json(request.headers());
        let bytes = RawBody::from_request(request, state).await?.0;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(ApiProblem::unsupported_media_type());
        }
        read(&bytes).map(|read: JsonBody<T>| Self(read.body))
    }
}

/// A body as bytes, within the server's bound.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

/// How much of a body that is too large is still read, and thrown away, in bytes: a client that is cut off while it sends never sees
/// the answer that says why.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;

impl FromRequest<Api> for RawBody {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiProblem> {
        let most = api.settings.body_bytes_max;
        let mut stream = request.into_body().into_data_stream();
        let (mut kept, mut seen) = (Vec::new(), 0_usize);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk
                .map_err(|_| ApiProblem::bad_request("unreadable_body", "The body could not be read to its end."))?;
            seen = seen.saturating_add(chunk.len());
            if seen > DISCARDED_BYTES_MAX {
                break;
            }
            if seen <= most {
                kept.extend_from_slice(&chunk);
            }
        }
        if seen > most {
            let message = format!("The body is larger than the {most} bytes that this server reads.");
            return Err(Problem::new(ProblemKind::TooLarge, "body_too_large", message).into());
        }
        Ok(Self(kept.into()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<JsonBody<T>, ApiProblem> {
    let document = strict::parse(bytes)
        .map_err(|error| ApiProblem::bad_request("malformed_json", format!("The body is not usable JSON: {error}.")))?;
    let body = serde_path_to_error::deserialize(&document).map_err(|error| {
        let error_at = FieldError { pointer: pointer(error.path()), message: error.inner().to_string() };
        let detail = match error_at.pointer.as_str() {
            "" => format!("The body is not of the right shape: {}.", error_at.message),
            place => format!("The body is not of the right shape at {place}: {}.", error_at.message),
        };
        ApiProblem::bad_request_at("invalid_body", detail, vec![error_at])
    })?;
    Ok(JsonBody { body, document })
}

/// A path within a document as JSON Pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => return pointer,
        };
        pointer.push('/');
        pointer.push_str(&token);
        pointer
    })
}

/// What stands in the path.
#[derive(Debug)]
pub struct PathOf<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiProblem::bad_request("invalid_path", rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// What stands in the query.
#[derive(Debug)]
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiProblem::bad_request("invalid_query", rejection.body_text()))?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Inner {
        number: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Outer {
        list: Vec<Inner>,
    }

    #[test]
    fn the_place_of_the_trouble_is_a_pointer() {
        for (text, place, part) in [
            (r#"{"list":[{"number":1},{"number":"two"}]}"#, "/list/1/number", "invalid type"),
            (r#"{"list":[{"number":1,"extra":2}]}"#, "/list/0/extra", "unknown field `extra`"),
            (r#"{"list":[{}]}"#, "/list/0", "missing field `number`"),
            (r#"{"a/b~":1}"#, "/a~1b~0", "unknown field"),
            ("[]", "", ""),
        ] {
            let problem = read::<Outer>(text.as_bytes()).expect_err(text);
            let shown = format!("{problem:?}");
            assert_eq!(problem.code(), "invalid_body");
            assert!(shown.contains(&format!("pointer: \"{place}\"")) && shown.contains(part), "{text}: {shown}");
        }
    }
}
