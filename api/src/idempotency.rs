//! `Idempotency-Key`: the id of what is created is derived from the key, so that a repeat reaches the same thing. Nothing
//! is stored here; whoever owns the thing tells a repeat (answered as the first time) from another body (409).

use amends_schemas::problem::{Problem, ProblemKind};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::problems::ApiProblem;

/// The header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Longest key, in characters: room for a few UUIDs.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// The name space of all ids derived from keys. Never changes: a repeat after an upgrade must find the same thing.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_2f0e_8c35_4b6e_9a53_d1a0_3c74_e2b8);

/// The key of a request, if it bears one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Option<String>);

/// How the header stands in the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive")]
pub struct IdempotencyKeyHeader {
    /// Chosen by the client, 1 to 255 printable ASCII characters, such as a UUID. The same key with the same body is
    /// answered as the first time, with another body by 409 `idempotency_key_reused`.
    #[param(rename = "Idempotency-Key", required = false, min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

impl IdempotencyKey {
    /// The id of what `route` creates under this key: always the same, or a new one when there is no key.
    pub fn id(&self, route: &str) -> Uuid {
        match &self.0 {
            Some(key) => Uuid::new_v5(&NAMESPACE, format!("{route}\n{key}").as_bytes()),
            None => Uuid::now_v7(),
        }
    }

    /// Whether the client sent one.
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Says of a conflict on creation what it means to a client that sent a key: only a repeat with another body can
    /// collide on a derived id.
    pub fn explain(&self, problem: Problem) -> Problem {
        if self.0.is_some() && problem.kind == ProblemKind::Conflict {
            Problem::conflict(
                "idempotency_key_reused",
                "This Idempotency-Key was used before with another body; use a new key for a new request.",
            )
        } else {
            problem
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiProblem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.as_bytes();
        let printable = key.iter().all(|byte| matches!(byte, 0x20..=0x7e));
        if values.next().is_some() || key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX || !printable {
            return Err(ApiProblem::bad_request(
                "invalid_idempotency_key",
                format!("Send one Idempotency-Key of 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters."),
            ));
        }
        Ok(Self(Some(String::from_utf8_lossy(key).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_one_id_per_route_for_ever() {
        let key = IdempotencyKey(Some("k1".to_owned()));
        assert_eq!(key.id("POST /v1/sagas").to_string(), "1a70254c-4c98-5123-936f-958c8db9b28c");
        assert_ne!(key.id("POST /v1/sagas"), key.id("POST /v1/events"));
        assert_ne!(key.id("POST /v1/sagas"), IdempotencyKey(Some("k2".to_owned())).id("POST /v1/sagas"));
        assert_ne!(IdempotencyKey(None).id("POST /v1/sagas"), IdempotencyKey(None).id("POST /v1/sagas"));
    }
}
