//! The adapter for the test gateway, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use opentelemetry::propagation::Injector;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::answer::{WireEvent, WireIntent, WireRefund, WireRefusal};
use super::port::{
    CaptureRequest, GatewayError, GatewayEvent, Lookup, PaymentGateway, RefundAnswer, RefundRequest, VoidAnswer,
    WebhookError,
};
use super::signature::verify;
use crate::domain::{GatewayPayment, GatewayRefund, GatewayState};

/// Its name in `POST /v1/webhooks/{gateway}`.
pub const NAME: &str = "test";

/// Largest answer that is read; theirs are a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Time to connect; beyond it nothing was sent. Well below any call's timeout, so that the two are told apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Talks to a test gateway.
#[derive(Debug, Clone)]
pub struct TestGatewayClient {
    client: Client,
    base: Url,
    webhook_secret: std::sync::Arc<str>,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is none, such as `http://127.0.0.1:9090` is.
    #[error("`{0}` is not the base URL of a payment gateway; write http://host:port")]
    Url(String),
    /// The HTTP client.
    #[error("the HTTP client cannot be set up")]
    Client(#[from] reqwest::Error),
}

/// An answer with a status: 2xx, or a refusal that was understood.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl TestGatewayClient {
    /// A client for the gateway at `base_url`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(base_url: &str, webhook_secret: impl Into<std::sync::Arc<str>>) -> Result<Self, ClientError> {
        let refuse = || ClientError::Url(base_url.to_owned());
        let base: Url = base_url.parse().map_err(|_| refuse())?;
        if base.cannot_be_a_base() {
            return Err(refuse());
        }
        // A peer beside us: a proxy of the environment has no business between.
        let client = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { client, base, webhook_secret: webhook_secret.into() })
    }

    /// The URL of a path; each segment is encoded, keys with slashes too.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        key: Option<&str>,
        body: Option<Value>,
        timeout: Duration,
    ) -> Result<Answer, GatewayError> {
        let mut request = self.client.request(method, url).headers(trace_headers()).timeout(timeout);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let mut response = request.send().await.map_err(classify)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(GatewayError::Unclear("an answer beyond all measure".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS
        {
            return Err(GatewayError::Unclear(format!("status {}", status.as_u16())));
        }
        Ok(Answer { status, body })
    }
}

/// Whether anything may have been sent. The text leaves the URL out: it holds keys.
fn classify(error: reqwest::Error) -> GatewayError {
    let error = error.without_url();
    if error.is_builder() {
        GatewayError::Misused(error.to_string())
    } else if error.is_connect() {
        GatewayError::Unreachable(error)
    } else if error.is_timeout() {
        GatewayError::Unclear("no answer in time".to_owned())
    } else {
        GatewayError::Unclear(format!("the connection broke: {error}"))
    }
}

struct Carrier(HeaderMap);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// W3C trace context of the current span; empty when there is none.
fn trace_headers() -> HeaderMap {
    let mut carrier = Carrier(HeaderMap::new());
    let span = tracing::Span::current();
    if !span.is_none() {
        let context = span.context();
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    }
    carrier.0
}

impl Answer {
    fn read<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| GatewayError::Unclear(format!("an answer that is not understood: {error}")))
    }

    fn payment(&self) -> Result<GatewayPayment, GatewayError> {
        self.read::<WireIntent>()?.payment().map_err(GatewayError::Unclear)
    }

    /// The refusal's code, and the intent it shows.
    fn refusal(&self) -> Result<(String, Option<GatewayPayment>), GatewayError> {
        let WireRefusal { error, intent } = self.read()?;
        let payment = intent.map(WireIntent::payment).transpose().map_err(GatewayError::Unclear)?;
        Ok((error.code, payment))
    }
}

fn misused(status: StatusCode, code: &str) -> GatewayError {
    GatewayError::Misused(format!("{code} (status {})", status.as_u16()))
}

#[async_trait]
impl PaymentGateway for TestGatewayClient {
    fn name(&self) -> &'static str {
        NAME
    }

    #[tracing::instrument(name = "gateway capture", skip_all, fields(gateway = NAME))]
    async fn capture(&self, request: &CaptureRequest, timeout: Duration) -> Result<GatewayPayment, GatewayError> {
        let body = json!({
            "amount": request.amount,
            "payment_token": request.token.expose(),
            "reference": request.reference,
        });
        let url = self.url(&["v1", "intents"]);
        let answer = self.call(Method::POST, url, Some(&request.key), Some(body), timeout).await?;
        if answer.status.is_success() {
            return answer.payment();
        }
        match (answer.status, answer.refusal()?) {
            (StatusCode::PAYMENT_REQUIRED, (_, Some(payment))) => Ok(payment),
            (StatusCode::CONFLICT, (code, Some(payment))) if code == "voided" => Ok(payment),
            (status, (code, _)) => Err(misused(status, &code)),
        }
    }

    #[tracing::instrument(name = "gateway find", skip_all, fields(gateway = NAME))]
    async fn find(&self, payment: &Lookup, timeout: Duration) -> Result<Option<GatewayPayment>, GatewayError> {
        let url = self.url(&["v1", "intents", "by-key", &payment.key]);
        let answer = self.call(Method::GET, url, None, None, timeout).await?;
        if answer.status.is_success() {
            return answer.payment().map(Some);
        }
        absent(&answer)
    }

    #[tracing::instrument(name = "gateway void", skip_all, fields(gateway = NAME))]
    async fn void(&self, payment: &Lookup, timeout: Duration) -> Result<VoidAnswer, GatewayError> {
        let url = self.url(&["v1", "intents", "by-key", &payment.key, "void"]);
        let answer = self.call(Method::POST, url, None, None, timeout).await?;
        if answer.status.is_success() {
            return answer.payment().map(VoidAnswer::Barred);
        }
        match (answer.status, answer.refusal()?) {
            (StatusCode::CONFLICT, (_, Some(payment))) if matches!(payment.state, GatewayState::Captured(_)) => {
                Ok(VoidAnswer::AlreadyCaptured(payment))
            }
            (StatusCode::CONFLICT, (code, _)) if code == "processing" => Ok(VoidAnswer::Processing),
            (status, (code, _)) => Err(misused(status, &code)),
        }
    }

    #[tracing::instrument(name = "gateway refund", skip_all, fields(gateway = NAME))]
    async fn refund(&self, request: &RefundRequest, timeout: Duration) -> Result<RefundAnswer, GatewayError> {
        let body = json!({"charge_id": request.charge_id, "amount": request.amount});
        let url = self.url(&["v1", "refunds"]);
        let answer = self.call(Method::POST, url, Some(&request.key), Some(body), timeout).await?;
        if answer.status.is_success() {
            return Ok(RefundAnswer::Refunded(answer.read::<WireRefund>()?.into()));
        }
        match (answer.status, answer.refusal()?.0.as_str()) {
            (StatusCode::NOT_FOUND, "charge_not_found") => Ok(RefundAnswer::ChargeNotFound),
            (StatusCode::CONFLICT, "refund_exceeds_captured") => Ok(RefundAnswer::ExceedsCaptured),
            (status, code) => Err(misused(status, code)),
        }
    }

    #[tracing::instrument(name = "gateway find refund", skip_all, fields(gateway = NAME))]
    async fn find_refund(&self, key: &str, timeout: Duration) -> Result<Option<GatewayRefund>, GatewayError> {
        let url = self.url(&["v1", "refunds", "by-key", key]);
        let answer = self.call(Method::GET, url, None, None, timeout).await?;
        if answer.status.is_success() {
            return Ok(Some(answer.read::<WireRefund>()?.into()));
        }
        absent(&answer)
    }

    fn read_webhook(&self, signature: &str, body: &str, now: DateTime<Utc>) -> Result<GatewayEvent, WebhookError> {
        verify(&self.webhook_secret, signature, body, now)?;
        let event: WireEvent =
            serde_json::from_str(body).map_err(|error| WebhookError::Malformed(error.to_string()))?;
        let key = event.data.intent.idempotency_key.clone();
        let payment = match event.kind.as_str() {
            "intent.captured" | "intent.declined" => {
                Some(event.data.intent.payment().map_err(WebhookError::Malformed)?)
            }
            _ => None,
        };
        Ok(GatewayEvent { event_id: event.id, key, payment })
    }
}

/// Not found counts only when the gateway itself says so: a 404 of something in between proves nothing.
fn absent<T>(answer: &Answer) -> Result<Option<T>, GatewayError> {
    match (answer.status, answer.refusal()?.0.as_str()) {
        (StatusCode::NOT_FOUND, "not_found") => Ok(None),
        (status, code) => Err(misused(status, code)),
    }
}
