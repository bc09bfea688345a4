//! A gateway of each test's own, and what tests ask of it.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use amends_test_gateway::{Settings, TestGateway};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// No test here waits longer.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub const SECRET: &str = "whsec_test";

pub struct Running {
    pub gateway: TestGateway,
    pub client: reqwest::Client,
    stop: CancellationToken,
}

pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test has a deadline")
}

/// Starts with short delays.
pub async fn start(folder: &Path) -> Running {
    start_with(folder, |_| {}).await
}

pub async fn start_with(folder: &Path, change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), folder, SECRET);
    settings.slow_delay = Duration::from_millis(400);
    settings.webhook_delay = Duration::from_millis(50);
    change(&mut settings);
    let stop = CancellationToken::new();
    let gateway = TestGateway::start(settings, stop.clone()).await.unwrap();
    Running { gateway, client: reqwest::Client::builder().no_proxy().build().unwrap(), stop }
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.gateway.stopped().await.unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway.url())
    }

    pub async fn try_charge(&self, key: &str, token: &str) -> reqwest::Result<(StatusCode, Value)> {
        let body = json!({"amount": {"amount": "120.00", "currency": "EUR"}, "payment_token": token, "reference": "r"});
        self.post("/v1/intents", key, &body).await
    }

    pub async fn charge(&self, key: &str, token: &str) -> (StatusCode, Value) {
        self.try_charge(key, token).await.unwrap()
    }

    pub async fn refund(&self, key: &str, charge_id: &str, amount: &str) -> (StatusCode, Value) {
        let body = json!({"charge_id": charge_id, "amount": {"amount": amount, "currency": "EUR"}});
        self.post("/v1/refunds", key, &body).await.unwrap()
    }

    pub async fn post(&self, path: &str, key: &str, body: &Value) -> reqwest::Result<(StatusCode, Value)> {
        let request = self.client.post(self.url(path)).header("idempotency-key", key).json(body);
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }

    pub async fn void(&self, key: &str) -> (StatusCode, Value) {
        self.post(&format!("/v1/intents/by-key/{}/void", key.replace('/', "%2F")), "", &Value::Null).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub async fn find(&self, key: &str) -> (StatusCode, Value) {
        self.get(&format!("/v1/intents/by-key/{}", key.replace('/', "%2F"))).await
    }

    pub async fn charges(&self) -> Vec<Value> {
        self.get("/ledger").await.1["charges"].as_array().unwrap().clone()
    }

    /// Asks until the intent has that status; the test's deadline bounds it.
    pub async fn until_status(&self, key: &str, status: &str) {
        while self.find(key).await.1["status"] != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
