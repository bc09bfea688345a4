//! A context and a gateway of each test's own.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_payment::gateway::TestGatewayClient;
use amends_payment::queries::List;
use amends_payment::steps::{Capture, Refund};
use amends_payment::webhook::Webhook;
use amends_payment::{Settings, context};
use amends_schemas::command::{CompensationReason, Operation, StepResult};
use amends_schemas::event::CloudEvent;
use amends_schemas::ids::{RegistrationId, SagaId};
use amends_schemas::library::event_schema;
use amends_schemas::problem::Problem;
use amends_sdk::Step;
use amends_sdk::testing::{Harness, command};
use amends_test_gateway::{Settings as GatewaySettings, TestGateway};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const SECRET: &str = "whsec_test";

/// No test here waits longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A call's timeout: more than an answer takes on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Beyond it.
const SLOW: Duration = Duration::from_secs(3600);

pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test has a deadline")
}

/// Swallows what is sent to it.
pub struct BlackHole(JoinHandle<()>);

impl BlackHole {
    pub async fn close(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled());
    }
}

/// A gateway that can be stopped and started again at the same address.
pub struct Gateway {
    address: SocketAddr,
    folder: TempDir,
    running: Option<(TestGateway, CancellationToken)>,
    pub webhook_delay: Duration,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_with(Duration::from_secs(3600)).await
    }

    pub async fn start_with(webhook_delay: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Self { address: ([127, 0, 0, 1], 0).into(), folder, running: None, webhook_delay };
        gateway.resume().await;
        gateway
    }

    pub async fn resume(&mut self) {
        let mut settings = GatewaySettings::new(self.address, self.folder.path(), SECRET);
        settings.slow_delay = SLOW;
        settings.webhook_delay = self.webhook_delay;
        let stop = CancellationToken::new();
        let gateway = TestGateway::start(settings, stop.clone()).await.unwrap();
        self.address = gateway.address();
        self.running = Some((gateway, stop));
    }

    pub async fn stop(&mut self) {
        let (gateway, stop) = self.running.take().unwrap();
        stop.cancel();
        gateway.stopped().await.unwrap();
    }

    /// Takes connections at the gateway's address, once it is stopped, and ends each after something was sent.
    pub async fn black_hole(&self) -> BlackHole {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_u8().await.unwrap();
            }
        });
        BlackHole(task)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn ledger(&self) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}/ledger", self.url())).send().await.unwrap().json().await.unwrap()
    }

    pub async fn charge_count(&self) -> usize {
        self.ledger().await["charges"].as_array().unwrap().len()
    }

    /// Charges without our knowing, as an answer lost on the way would leave it.
    pub async fn charge(&self, key: &str, token: &str) -> Value {
        let body = json!({"amount": {"amount": "120.00", "currency": "EUR"}, "payment_token": token});
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/v1/intents", self.url())).header("idempotency-key", key).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// One registration to be paid, its saga, and the context that does it.
pub struct Case {
    pub harness: Arc<Harness>,
    pub gateway: Gateway,
    pub saga_id: SagaId,
    pub registration_id: RegistrationId,
}

impl Case {
    pub async fn new() -> Self {
        Self::with(Gateway::start().await).await
    }

    pub async fn with(gateway: Gateway) -> Self {
        let client = Arc::new(TestGatewayClient::new(&gateway.url(), SECRET).unwrap());
        let mut settings = Settings::new(client);
        settings.call_timeout = CALL_TIMEOUT;
        let harness = Arc::new(Harness::new(context(settings)).await);
        let registration_id = RegistrationId::generate();
        Self { harness, gateway, saga_id: registration_id.saga(), registration_id }
    }

    pub fn key(&self) -> String {
        format!("{}/capture/do", self.saga_id)
    }

    fn input(&self, token: Option<&str>) -> Value {
        let mut input = json!({
            "registration_id": self.registration_id,
            "amount": {"amount": "120.00", "currency": "EUR"},
            "payer": {"name": "Ada", "email": "ada@example.org", "locale": "en"},
            "description": "RustConf",
        });
        if let Some(token) = token {
            input["payment_token"] = token.into();
        }
        input
    }

    pub async fn pay(&self, token: &str) -> StepResult {
        self.harness.execute::<Capture>(self.saga_id, self.input(Some(token))).await
    }

    pub async fn pay_without_token(&self) -> StepResult {
        self.harness.execute::<Capture>(self.saga_id, self.input(None)).await
    }

    pub async fn pay_amount(&self, amount: &str) -> StepResult {
        let mut input = self.input(Some("tok_ok"));
        input["amount"]["amount"] = amount.into();
        self.harness.execute::<Capture>(self.saga_id, input).await
    }

    pub async fn probe(&self, token: &str) -> StepResult {
        self.harness.probe::<Capture>(self.saga_id, self.input(Some(token))).await
    }

    pub async fn undo(&self, token: &str) -> StepResult {
        let mut undo = command::<Capture>(Operation::Undo, self.saga_id, self.input(Some(token)));
        undo.reason = Some(CompensationReason::Deadline);
        self.harness.command(undo).await
    }

    fn refund_input(&self, amount: &str) -> Value {
        json!({"registration_id": self.registration_id, "amount": {"amount": amount, "currency": "EUR"}, "reason": "r"})
    }

    pub async fn refund(&self, saga_id: SagaId, amount: &str) -> StepResult {
        self.harness.execute::<Refund>(saga_id, self.refund_input(amount)).await
    }

    pub async fn probe_refund(&self, saga_id: SagaId, amount: &str) -> StepResult {
        self.harness.probe::<Refund>(saga_id, self.refund_input(amount)).await
    }

    pub async fn payments(&self) -> Vec<Value> {
        let answer = self.harness.ask::<List>(json!({"registration_id": self.registration_id})).await.unwrap();
        answer.as_array().unwrap().clone()
    }

    /// The only payment's status.
    pub async fn status(&self) -> String {
        let payments = self.payments().await;
        assert_eq!(payments.len(), 1);
        payments[0]["status"].as_str().unwrap().to_owned()
    }

    pub async fn webhook(&self, signature: &str, body: &str) -> Result<Value, Problem> {
        let request = json!({"gateway": "test", "signature": signature, "body": body});
        self.harness.ask::<Webhook>(request).await
    }

    /// What was published, each checked against its schema, by name.
    pub async fn published(&self) -> Vec<(String, CloudEvent)> {
        let events = self.harness.published().await;
        for event in &events {
            let schema = event_schema(&event.event_type).unwrap_or_else(|| panic!("{} has a schema", event.event_type));
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            let errors: Vec<_> = validator.iter_errors(&event.data).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", event.event_type);
        }
        events.into_iter().map(|event| (event.event_type.clone(), event)).collect()
    }

    pub async fn published_names(&self) -> Vec<String> {
        self.published().await.into_iter().map(|(name, _)| name).collect()
    }
}

/// `succeeded`, `not_happened`, or the status with the error's code.
pub fn said(result: &StepResult) -> String {
    match result {
        StepResult::Succeeded { .. } => "succeeded".to_owned(),
        StepResult::Failed { error } => format!("failed {}", error.code),
        StepResult::Retry { error, .. } => format!("retry {}", error.code),
        StepResult::Unknown { error } => format!("unknown {}", error.code),
        StepResult::NotHappened => "not_happened".to_owned(),
    }
}

pub fn output(result: &StepResult) -> &Value {
    match result {
        StepResult::Succeeded { output, .. } => output,
        other => panic!("not a success: {other:?}"),
    }
}

/// The contract's errors name every failure the handlers give.
#[test]
fn both_steps_are_in_the_library() {
    let contracts = amends_schemas::library::contracts().unwrap();
    for name in [Capture::CONTRACT, Refund::CONTRACT] {
        let contract = contracts.get(&name.parse().unwrap()).unwrap();
        assert!(contract.probe && contract.errors.contains_key("invalid_amount"), "{name}");
    }
}
