//! A nats-server, a gateway, and subscribers that play everybody else.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_api::ApiSettings;
use amends_nats::{Nats, NatsSettings};
use amends_schemas::ids::PartitionCount;
use amends_schemas::operate::{
    CancelPreview, CompensationPreview, OperateSaga, Operated, PivotSide, UndoAction, UndoPreview,
};
use amends_schemas::problem::{Answer, Problem};
use amends_schemas::saga::{HistoryQuery, OrchestratorInfo, Priority, SagaStatus, SagaView, StartSaga};
use amends_schemas::signal::{SignalEffect, SignalReceipt, SignalSaga};
use amends_schemas::subjects::{ORCHESTRATOR_INFO, PartitionVerb};
use amends_test_support::TestNats;
use async_nats::HeaderMap as NatsHeaders;
use futures::StreamExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::schema::Document;

/// No test takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test within its deadline.
pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test ends within its deadline")
}

pub struct Stage {
    pub nats: Nats,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub serving: Option<JoinHandle<()>>,
    pub http: reqwest::Client,
    pub document: Document,
    pub server: TestNats,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("no code")
    }
}

/// What subscribers have been asked: subject, question, headers.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<(String, Value, NatsHeaders)>>>);

impl Asked {
    pub fn all(&self) -> Vec<(String, Value, NatsHeaders)> {
        self.0.lock().expect("not poisoned").clone()
    }

    pub fn questions(&self) -> Vec<Value> {
        self.all().into_iter().map(|(_, question, _)| question).collect()
    }
}

/// Settings that give up soon, so that silence is told within the test's time.
pub fn impatient() -> ApiSettings {
    let mut settings = ApiSettings::new(([127, 0, 0, 1], 0).into());
    settings.orchestrator_patience = Duration::from_millis(400);
    settings.context_patience = Duration::from_millis(400);
    settings
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(impatient()).await
    }

    pub async fn with(settings: ApiSettings) -> Self {
        let server = amends_test_support::nats_server().await;
        let url = server.url();
        let nats_settings = NatsSettings { url, name: "api-test".to_owned(), credentials: None, replicas: 1 };
        let nats = Nats::connect(&nats_settings, Duration::from_secs(10)).await.expect("connects");
        let shutdown = CancellationToken::new();
        let (address, serving) =
            amends_api::serve(settings, nats.clone(), shutdown.clone()).await.expect("a free port");
        let document = Document::served();
        let http = reqwest::Client::new();
        Self { nats, address, shutdown, serving: Some(serving), http, document, server }
    }

    /// Answers a subject with what `answer` says; `None` is silence.
    pub async fn play<F>(&self, subject: &str, answer: F) -> Asked
    where
        F: Fn(&str, Value) -> Option<Result<Value, Problem>> + Send + 'static,
    {
        let asked = Asked::default();
        let record = asked.clone();
        let client = self.nats.client().clone();
        let mut questions = client.subscribe(subject.to_owned()).await.expect("subscribes");
        client.flush().await.expect("the subscription stands");
        tokio::spawn(async move {
            while let Some(message) = questions.next().await {
                let question: Value = serde_json::from_slice(&message.payload).expect("a question is JSON");
                let subject = message.subject.to_string();
                record.0.lock().expect("not poisoned").push((
                    subject.clone(),
                    question.clone(),
                    message.headers.unwrap_or_default(),
                ));
                if let (Some(answer), Some(reply)) = (answer(&subject, question), message.reply) {
                    let answer = serde_json::to_vec(&Answer::from(answer)).expect("json");
                    client.publish(reply, answer.into()).await.expect("publishes");
                }
            }
        });
        asked
    }

    /// A context's endpoint.
    pub async fn context<F>(&self, context: &str, endpoint: &str, answer: F) -> Asked
    where
        F: Fn(Value) -> Result<Value, Problem> + Send + 'static,
    {
        let subject = amends_schemas::subjects::context_endpoint(context, endpoint);
        self.play(&subject, move |_, question| Some(answer(question))).await
    }

    /// An orchestrator that owns all of four partitions and keeps sagas as it is told.
    pub async fn orchestrator(&self) -> Orchestrator {
        let info = OrchestratorInfo { partition_count: PartitionCount::new(4).expect("in range"), version: "t".into() };
        self.play(ORCHESTRATOR_INFO, move |_, _| Some(Ok(json!(info)))).await;
        let sagas = Orchestrator::default();
        let state = sagas.clone();
        let asked = self.play("amends.orc.p.*.*", move |subject, question| Some(state.answer(subject, question))).await;
        Orchestrator { asked, ..sagas }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_with(method, path, &[], body).await
    }

    pub async fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let body = body.map(|body| serde_json::to_vec(&body).expect("json"));
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        let headers: Vec<(&str, &str)> =
            if body.is_some() { json.iter().chain(headers).copied().collect() } else { headers.to_vec() };
        self.send(method, path, &headers, body.unwrap_or_default()).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request =
            self.http.request(method.parse().expect("a method"), format!("http://{}{path}", self.address)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let content_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().expect("ascii")).to_owned();
        let bytes = response.bytes().await.expect("a body");
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        if method != "HEAD" {
            self.document.check(method, path, status, &content_type, &body);
        }
        if status >= 400 && !path.starts_with("/readyz") && method != "HEAD" {
            assert_eq!(content_type, "application/problem+json", "{method} {path}: {body}");
            assert!(self.document.component("Problem").is_valid(&body), "{method} {path}: {body}");
        }
        Reply { status, headers, body }
    }
}

/// The sagas of a played orchestrator.
#[derive(Clone, Default)]
pub struct Orchestrator {
    sagas: Arc<Mutex<Vec<(StartSaga, SagaView)>>>,
    operations: Arc<Mutex<Vec<OperateSaga>>>,
    pub asked: Asked,
}

impl Orchestrator {
    fn answer(&self, subject: &str, question: Value) -> Result<Value, Problem> {
        let token = subject.rsplit('.').next().expect("a token");
        match PartitionVerb::from_token(token).expect("a verb") {
            PartitionVerb::Start => {
                let start: StartSaga = serde_json::from_value(question).expect("StartSaga");
                let mut sagas = self.sagas.lock().expect("not poisoned");
                if let Some((known, view)) = sagas.iter().find(|(known, _)| known.saga_id == start.saga_id) {
                    return if *known == start {
                        Ok(json!(view))
                    } else {
                        Err(Problem::conflict("saga_exists", "another saga has this id"))
                    };
                }
                let view = view_of(&start);
                sagas.push((start, view.clone()));
                Ok(json!(view))
            }
            PartitionVerb::Get | PartitionVerb::Watch => self.view(&question).map(|view| json!(view)),
            PartitionVerb::Standing => {
                let saga_count = self.sagas.lock().expect("not poisoned").len();
                Ok(json!({"saga_count": saga_count, "parked_count": 0, "parked": []}))
            }
            PartitionVerb::History => {
                self.view(&question)?;
                // Three facts, in pages as they are asked for.
                let query: HistoryQuery = serde_json::from_value(question).expect("HistoryQuery");
                let limit = query.limit.expect("the gateway names a limit");
                let facts = (query.after + 1..=3).map(|sequence| {
                    json!({"sequence": sequence, "at": "2026-01-01T00:00:00Z", "event": "saga_started", "data": {}})
                });
                let more = 3_usize.saturating_sub(query.after as usize) > limit;
                Ok(json!({"items": facts.take(limit).collect::<Vec<_>>(), "more": more}))
            }
            PartitionVerb::Cancel => {
                let view = self.view(&question)?;
                let saga_id = view.saga_id;
                Ok(match view.status {
                    SagaStatus::Completed if view.definition == "one-way" => {
                        return Err(Problem::conflict("past_pivot", "it only goes forward"));
                    }
                    SagaStatus::Completed => json!({
                        "effect": "forward", "saga_id": saga_id, "forward_saga_id": saga_id.forward_cancellation(),
                    }),
                    // Its point of no return is in doubt.
                    SagaStatus::Stuck => json!({"effect": "undecided", "saga_id": saga_id, "step": "pay"}),
                    SagaStatus::Running
                    | SagaStatus::Compensating
                    | SagaStatus::Compensated
                    | SagaStatus::Terminated => {
                        json!({"effect": "compensating", "saga_id": saga_id})
                    }
                })
            }
            PartitionVerb::Signal => {
                let request: SignalSaga = serde_json::from_value(question.clone()).expect("SignalSaga");
                let view = self.view(&question)?;
                match request.signal.as_str() {
                    "approved" => {}
                    "late" => return Err(Problem::conflict("signal_too_late", "nobody waits for it any more")),
                    "reused" => return Err(Problem::conflict("signal_id_reused", "another signal has this id")),
                    _ => return Err(Problem::not_found("unknown_signal", "no such signal")),
                }
                if request.data.is_null() {
                    return Err(Problem::invalid("invalid_signal", "it wants data"));
                }
                Ok(json!(SignalReceipt {
                    saga_id: request.saga_id,
                    signal: request.signal,
                    signal_id: request.signal_id,
                    effect: SignalEffect::Kept,
                    at: view.updated_at,
                    sequence: 2,
                }))
            }
            PartitionVerb::ChildEnded => panic!("the gateway tells nobody of ends"),
            PartitionVerb::Operate => {
                let request: OperateSaga = serde_json::from_value(question.clone()).expect("OperateSaga");
                let view = self.view(&question)?;
                let mut known = self.operations.lock().expect("not poisoned");
                if known.iter().any(|other| other.operation_id == request.operation_id && *other != request) {
                    return Err(Problem::conflict("operation_id_reused", "another operation has this id"));
                }
                if view.status.is_final() {
                    return Err(Problem::conflict("illegal_here", "it is at its end"));
                }
                let operated = Operated {
                    children_left: 0,
                    saga_id: request.saga_id,
                    operation_id: request.operation_id,
                    verb: request.act.verb(),
                    step: None,
                    at: view.updated_at,
                    sequence: 2,
                };
                known.push(request);
                Ok(json!(operated))
            }
            PartitionVerb::Preview => {
                let view = self.view(&question)?;
                Ok(json!(CompensationPreview {
                    saga_id: view.saga_id,
                    status: view.status,
                    paused: view.paused,
                    pivot: PivotSide::Undecided,
                    cancel: CancelPreview::SettleDoubt { step: "pay".to_owned() },
                    steps: vec![UndoPreview {
                        step: "reserve".to_owned(),
                        call: Some("registration.reserve@1".parse().expect("a contract's name")),
                        action: UndoAction::Undo,
                        order: 1,
                        if_it_happened: false,
                        input: json!({"a": 1}),
                        output: Some(json!({})),
                        reason: None,
                    }],
                    irreversible: vec!["x".to_owned()],
                    summary: "a sentence".to_owned(),
                }))
            }
            PartitionVerb::Reply => Err(Problem::internal("unexpected", "no worker is on this stage")),
        }
    }

    fn view(&self, question: &Value) -> Result<SagaView, Problem> {
        let sagas = self.sagas.lock().expect("not poisoned");
        sagas
            .iter()
            .map(|(_, view)| view)
            .find(|view| json!(view.saga_id) == question["saga_id"])
            .cloned()
            .ok_or_else(|| Problem::not_found("saga_not_found", "no such saga"))
    }

    pub fn started(&self) -> Vec<StartSaga> {
        self.sagas.lock().expect("not poisoned").iter().map(|(start, _)| start.clone()).collect()
    }

    /// Puts a saga there, or changes it.
    pub fn put(&self, view: SagaView) {
        let mut sagas = self.sagas.lock().expect("not poisoned");
        if let Some((_, known)) = sagas.iter_mut().find(|(_, known)| known.saga_id == view.saga_id) {
            *known = view;
            return;
        }
        let start = StartSaga {
            saga_id: view.saga_id,
            definition: view.definition.clone(),
            version: None,
            input: view.input.clone(),
            tags: view.tags.clone(),
            start_at: None,
            priority: Priority::default(),
            parent: None,
        };
        sagas.push((start, view));
    }
}

/// A saga that has just been accepted.
pub fn view_of(start: &StartSaga) -> SagaView {
    let at = "2026-01-01T00:00:00Z".parse().expect("time");
    SagaView {
        saga_id: start.saga_id,
        definition: start.definition.clone(),
        version: start.version.unwrap_or(1),
        hash: "h".to_owned(),
        status: SagaStatus::Running,
        reason: None,
        paused: false,
        waiting_for: Some("its first step".to_owned()),
        steps: Vec::new(),
        input: start.input.clone(),
        output: None,
        tags: start.tags.clone(),
        cancelled_by: None,
        parent: start.parent.clone(),
        start_at: start.start_at,
        priority: start.priority,
        deadline_at: None,
        created_at: at,
        updated_at: at,
        event_count: 1,
    }
}
