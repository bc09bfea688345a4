//! What a client of the HTTP API does.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::wait;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer: status and body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as JSON; null when there is none.
    pub body: Value,
}

impl Answer {
    /// A member of the body, as text.
    ///
    /// # Panics
    /// When it is not there.
    pub fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no text {member} in {self:?}")).to_owned()
    }
}

/// Talks to one API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Such as `http://127.0.0.1:8080`.
    pub base: String,
}

impl Client {
    /// Of the API at `base`.
    ///
    /// # Panics
    /// Never in practice: the client has no TLS to set up.
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build().expect("a plain client");
        Self { http, base: base.to_owned() }
    }

    /// Sends a request; `None` when nothing answers.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// Fetches.
    ///
    /// # Panics
    /// When nothing answers.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, None, None).await.expect("the API answers")
    }

    /// Posts.
    ///
    /// # Panics
    /// When nothing answers.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_send(Method::POST, path, None, Some(body)).await.expect("the API answers")
    }

    /// Posts under an idempotency key until an answer is no 5xx, as a client that wants it done does.
    pub async fn post_surely(&self, path: &str, key: &str, body: &Value, deadline: Duration) -> Answer {
        self.surely(Method::POST, path, Some(key), Some(body), deadline).await
    }

    /// Fetches until an answer is no 5xx: soon after faults, or on a busy machine, a role may be too slow for one.
    pub async fn get_surely(&self, path: &str, deadline: Duration) -> Answer {
        self.surely(Method::GET, path, None, None, deadline).await
    }

    async fn surely(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
        deadline: Duration,
    ) -> Answer {
        let mut deadline = wait::Deadline::after(deadline);
        loop {
            let answer = self.try_send(method.clone(), path, key, body).await;
            match answer {
                Some(answer) if answer.status < 500 => return answer,
                answer => deadline.pause(&format!("an answer of {method} {path}; last: {answer:?}")).await,
            }
        }
    }

    /// Creates and publishes an event; answers its id. `price` in euro, `None` for a free one.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn published_event(&self, capacity: u32, price: Option<&str>) -> String {
        let body = json!({
            "title": "Rust in Lyon", "starts_at": "2031-06-01T08:00:00Z", "ends_at": "2031-06-01T16:00:00Z",
            "timezone": "Europe/Paris", "capacity": capacity, "tax_rate": "0.20",
            "price": price.map(|amount| json!({"amount": amount, "currency": "EUR"})),
        });
        let created = self.post("/v1/events", &body).await;
        assert_eq!(created.status, 201, "{created:?}");
        let event_id = created.text("event_id");
        let published = self.post(&format!("/v1/events/{event_id}/publish"), &json!({})).await;
        assert!((200..300).contains(&published.status), "{published:?}");
        event_id
    }

    /// The body of a registration of person number `person`.
    pub fn registration_body(event_id: &str, person: usize, token: Option<&str>) -> Value {
        let mut body = json!({
            "event_id": event_id,
            "attendee": {"name": format!("Person {person}"), "email": format!("person{person}@example.org"), "locale": "en"},
        });
        if let Some(token) = token {
            body["payment_token"] = json!(token);
        }
        body
    }

    /// Registers person number `person`; answers the 202's body.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn register(&self, event_id: &str, person: usize, token: Option<&str>) -> Answer {
        let answer = self.post("/v1/registrations", &Self::registration_body(event_id, person, token)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer
    }

    /// The saga once it has one of these statuses.
    pub async fn saga_in(&self, saga_id: &str, statuses: &[&str], deadline: Duration) -> Value {
        let path = format!("/v1/sagas/{saga_id}");
        let mut deadline = wait::Deadline::after(deadline);
        loop {
            let answer = self.try_send(Method::GET, &path, None, None).await;
            if let Some(answer) = &answer
                && answer.body["status"].as_str().is_some_and(|status| statuses.contains(&status))
            {
                return answer.body.clone();
            }
            deadline.pause(&format!("saga {saga_id} to be {statuses:?}; last: {answer:?}")).await;
        }
    }

    /// The items of a list.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        items_of(path, self.get(path).await)
    }

    /// The items of a list, asked for until there is an answer.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn items_surely(&self, path: &str, deadline: Duration) -> Vec<Value> {
        items_of(path, self.get_surely(path, deadline).await)
    }
}

fn items_of(path: &str, answer: Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let items = if answer.body.is_array() { &answer.body } else { &answer.body["items"] };
    items.as_array().unwrap_or_else(|| panic!("{path} answers no list: {answer:?}")).clone()
}
