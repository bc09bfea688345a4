//! A small client of our own HTTP API, for the command line and the demo.

use std::time::Duration;

use amends_schemas::ids::SagaId;
use amends_schemas::saga::{HistoryEntry, Page, SagaSummary, SagaView};
use anyhow::{Context, bail};
use futures::StreamExt as _;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest event of a stream we take in, in bytes; a saga's view is far below.
const STREAM_EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Talks to one API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// What is read of a problem.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    errors: Vec<FieldProblem>,
}

/// One offending place.
#[derive(Debug, Deserialize)]
struct FieldProblem {
    pointer: String,
    message: String,
}

impl Client {
    /// Of the API at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.trim_end_matches('/').to_owned() }
    }

    /// Fetches.
    ///
    /// # Errors
    /// The API's own code and sentence, or that nothing answers there.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let request = self.request(Method::GET, path).query(query);
        self.answer(request).await
    }

    /// Posts.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path).json(body);
        self.answer(request).await
    }

    /// Posts under an idempotency key, if there is one.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<T> {
        self.answer(once(self.request(Method::POST, path).json(body), key)).await
    }

    /// Patches under an idempotency key, if there is one.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<T> {
        self.answer(once(self.request(Method::PATCH, path).json(body), key)).await
    }

    /// Deletes under an idempotency key, if there is one.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        self.answer(once(self.request(Method::DELETE, path).query(query), key)).await
    }

    /// A page of sagas.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn sagas(&self, query: &[(&str, String)]) -> anyhow::Result<Page<SagaSummary>> {
        self.get("/v1/sagas", query).await
    }

    /// One saga.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn saga(&self, saga_id: SagaId) -> anyhow::Result<SagaView> {
        self.get(&format!("/v1/sagas/{saga_id}"), &[]).await
    }

    /// What happened to it behind a place in its history.
    ///
    /// # Errors
    /// As [`Client::get`].
    async fn history(&self, saga_id: SagaId, after: String) -> anyhow::Result<Page<HistoryEntry>> {
        self.get(&format!("/v1/sagas/{saga_id}/history"), &[("after", after)]).await
    }

    /// All that happened to it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn whole_history(&self, saga_id: SagaId) -> anyhow::Result<Vec<HistoryEntry>> {
        let (mut facts, mut place) = (Vec::new(), "0".to_owned());
        loop {
            let page = self.history(saga_id, place).await?;
            facts.extend(page.items);
            match page.next_cursor {
                Some(next) => place = next,
                None => return Ok(facts),
            }
        }
    }

    /// Calls `seen` with the saga as it is now and after every change, until it is final or `seen` answers false.
    ///
    /// # Errors
    /// As [`Client::get`]; a stream that breaks off is opened again.
    pub async fn watch(&self, saga_id: SagaId, mut seen: impl FnMut(&SagaView) -> bool) -> anyhow::Result<()> {
        loop {
            let path = format!("/v1/sagas/{saga_id}/stream");
            let response =
                self.http.get(format!("{}{path}", self.base)).send().await.context("the API does not answer")?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let mut body = response.bytes_stream();
            let mut buffer = String::new();
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else { break };
                buffer.push_str(&String::from_utf8_lossy(&chunk));
                if buffer.len() > STREAM_EVENT_BYTES_MAX {
                    bail!("the stream sends an event of more than {STREAM_EVENT_BYTES_MAX} bytes");
                }
                while let Some(end) = buffer.find("\n\n") {
                    let event: String = buffer.drain(..end + 2).collect();
                    let Some(view) = saga_of(&event)? else { continue };
                    if !seen(&view) || view.status.is_final() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).timeout(ANSWER_TIMEOUT)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = request.send().await.with_context(|| format!("no API answers at {}", self.base))?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        response.json().await.context("the API's answer cannot be read")
    }
}

fn once(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    }
}

/// The saga an event of the stream carries, if it carries one.
fn saga_of(event: &str) -> anyhow::Result<Option<SagaView>> {
    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    if data.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&data).map(Some).context("the stream sends something else than a saga")
}

async fn refusal(response: reqwest::Response) -> anyhow::Error {
    let status = response.status();
    match response.json::<Problem>().await {
        Ok(Problem { code, detail, errors }) => {
            // A sentence that says it all already is not said twice.
            let places = errors.iter().filter(|error| !detail.contains(&error.message));
            let places: String = places.map(|error| format!("\n  {}: {}", error.pointer, error.message)).collect();
            anyhow::anyhow!("{detail} ({code}){places}")
        }
        Err(_) => anyhow::anyhow!("the API answers {status}"),
    }
}
