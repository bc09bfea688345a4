//! A platform with contracts and sagas of a test's own, whose workers are the test's own hands: each moment can be chosen.

use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_nats::{Nats, NatsSettings};
use amends_test_support::wait::{Deadline, until};
use amends_test_support::{Client, Platform};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{BINARY, SAGA_DEADLINE};

/// Commands that one look at the queue takes.
const TAKEN_AT_ONCE: usize = 64;

/// The platform and the hands.
pub struct Hands {
    /// The platform.
    pub platform: Platform,
    nats: Nats,
    /// Keys whose answers are committed, as a worker's inbox knows them: a broker that was killed may deliver their commands again.
    answered: Arc<Mutex<HashSet<String>>>,
    _folder: tempfile::TempDir,
}

impl Hands {
    /// Starts one. `contracts` are steps of the context `hand`, with members that replace the usual ones.
    pub async fn set(contracts: &[(&str, Value)], sagas: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (contract_folder, saga_folder) = (folder.path().join("contracts/hand"), folder.path().join("sagas"));
        std::fs::create_dir_all(&contract_folder).expect("a folder");
        std::fs::create_dir_all(&saga_folder).expect("a folder");
        for (step, more) in contracts {
            let mut contract = json!({
                "contract": format!("hand.{step}@1"), "title": step, "undo": true,
                "input": {"type": "object"}, "output": {},
            });
            contract.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            std::fs::write(contract_folder.join(format!("{step}.v1.json")), contract.to_string()).expect("written");
        }
        for (index, saga) in sagas.iter().enumerate() {
            std::fs::write(saga_folder.join(format!("{index}.yaml")), saga).expect("written");
        }
        let platform = Platform::start_with(BINARY, &["--schemas", &folder.path().to_string_lossy()]).await;
        let nats = connect(&platform).await;
        Self { platform, nats, answered: Arc::default(), _folder: folder }
    }

    /// Kills it, as `kill -9` does, and starts it again.
    pub async fn kill_and_restart(&mut self) {
        self.platform.kill_and_restart().await;
        self.nats = connect(&self.platform).await;
    }

    pub fn client(&self) -> &Client {
        &self.platform.client
    }

    /// What the command line says; whether all went well.
    pub fn amends(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(BINARY).args(arguments).args(["--api", &self.client().base]).output().expect("runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), format!("{out}{err}"))
    }

    /// The same, which goes well and says this among other things.
    pub fn said(&self, arguments: &[&str], wanted: &str) {
        let (ok, text) = self.amends(arguments);
        assert!(ok && text.contains(wanted), "{arguments:?}: {text}");
    }

    /// The same, refused with this code.
    pub fn unwilling(&self, arguments: &[&str], code: &str) {
        let (ok, text) = self.amends(arguments);
        assert!(!ok && text.contains(code), "{arguments:?}: {text}");
    }

    /// Starts a saga; its id.
    pub async fn start(&self, body: Value) -> String {
        let answer = self.client().post("/v1/sagas", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.text("saga_id")
    }

    /// Takes the next command of a step off the queue.
    pub async fn command(&self, step: &str) -> Value {
        until(&format!("a command of {step}"), SAGA_DEADLINE, async || take(&self.nats, step, 1).await.pop()).await
    }

    /// Takes the next command of a step, checks what is asked, answers it.
    pub async fn work(&self, step: &str, operation: &str, result: Value) -> Value {
        let command = self.command(step).await;
        assert_eq!(command["operation"], operation, "{command}");
        assert_eq!(reply(&self.nats, &command, result).await, "+OK");
        command
    }

    /// Answers a command as a worker would; what the owner says to it.
    pub async fn reply(&self, command: &Value, result: Value) -> String {
        reply(&self.nats, command, result).await
    }

    /// Serves a step until it is dropped, each command for a while, any number at once.
    pub fn serve(
        &self,
        step: &str,
        work: Duration,
        result: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Served {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (nats, step, noting, result) = (self.nats.clone(), step.to_owned(), Arc::clone(&seen), Arc::new(result));
        let answered = Arc::clone(&self.answered);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut at_work = JoinSet::new();
            loop {
                for command in take(&nats, &step, TAKEN_AT_ONCE).await {
                    let (nats, noting, result) = (nats.clone(), Arc::clone(&noting), Arc::clone(&result));
                    let key = command["key"].as_str().expect("a key").to_owned();
                    if answered.lock().expect("not poisoned").contains(&key) {
                        continue;
                    }
                    let answered = Arc::clone(&answered);
                    if !noting.lock().expect("not poisoned").begin(&command) {
                        continue;
                    }
                    at_work.spawn(async move {
                        // The work itself.
                        tokio::time::sleep(work).await;
                        noting.lock().expect("not poisoned").at_once -= 1;
                        answer_surely(&nats, &command, result(&command)).await;
                        answered.lock().expect("not poisoned").insert(key);
                    });
                }
            }
        });
        Served { seen, _tasks: tasks }
    }

    pub async fn saga(&self, saga_id: &str) -> Value {
        self.client().get(&format!("/v1/sagas/{saga_id}")).await.body
    }

    /// A saga once it is at its end or stuck, which must be so.
    pub async fn ends(&self, saga_id: &str, status: &str) -> Value {
        let ends = ["completed", "compensated", "stuck", "terminated"];
        let saga = self.client().saga_in(saga_id, &ends, SAGA_DEADLINE).await;
        assert_eq!(saga["status"], status, "{saga}");
        saga
    }

    /// Statuses of its steps, in order.
    pub fn statuses(saga: &Value) -> Vec<&str> {
        saga["steps"].as_array().expect("steps").iter().map(|step| step["status"].as_str().expect("text")).collect()
    }

    /// Posts to a saga; status and body.
    pub async fn post(&self, saga_id: &str, path: &str, body: Value) -> (u16, Value) {
        let answer = self.client().post(&format!("/v1/sagas/{saga_id}/{path}"), &body).await;
        (answer.status, answer.body)
    }

    /// The same, refused.
    pub async fn refused(&self, saga_id: &str, path: &str, body: Value, status: u16, code: &str) {
        let (got, body) = self.post(saga_id, path, body).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{path}: {body}");
    }

    /// Waits until a step of a saga has a status.
    pub async fn step_is(&self, saga_id: &str, step: usize, status: &str) -> Value {
        until(&format!("step {step} of {saga_id} to be {status}"), SAGA_DEADLINE, async || {
            Some(self.saga(saga_id).await).filter(|saga| saga["steps"][step]["status"] == status)
        })
        .await
    }
}

/// What a served step has seen; serving ends when it is dropped.
pub struct Served {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    at_once: usize,
    most_at_once: usize,
    /// Commands in the order in which they came.
    order: Vec<Value>,
    keys: HashSet<String>,
}

impl Seen {
    /// Whether it is to be done: not when it is a repeat, of which a worker's inbox knows.
    fn begin(&mut self, command: &Value) -> bool {
        if !self.keys.insert(command["key"].as_str().expect("a key").to_owned()) {
            return false;
        }
        self.at_once += 1;
        self.most_at_once = self.most_at_once.max(self.at_once);
        self.order.push(command.clone());
        true
    }
}

impl Served {
    /// Most commands that were at work at the same time.
    pub fn most_at_once(&self) -> usize {
        self.seen.lock().expect("not poisoned").most_at_once
    }

    /// How many different keys were seen: each is one thing done.
    pub fn keys(&self) -> usize {
        self.seen.lock().expect("not poisoned").keys.len()
    }

    /// The commands, in the order in which they came.
    pub fn order(&self) -> Vec<Value> {
        self.seen.lock().expect("not poisoned").order.clone()
    }
}

async fn connect(platform: &Platform) -> Nats {
    let settings = NatsSettings { url: platform.nats.clone(), name: "hand".to_owned(), credentials: None, replicas: 1 };
    Nats::connect(&settings, SAGA_DEADLINE).await.expect("NATS is there")
}

async fn take(nats: &Nats, step: &str, most: usize) -> Vec<Value> {
    let contract = format!("hand.{step}@1").parse().expect("a contract's name");
    let Ok(consumer) = nats.command_consumer(&contract).await else { return Vec::new() };
    let fetched = consumer.fetch().max_messages(most).expires(Duration::from_millis(300)).messages().await;
    let Ok(mut batch) = fetched else { return Vec::new() };
    let mut commands = Vec::new();
    while let Some(Ok(message)) = batch.next().await {
        if message.ack().await.is_ok() {
            commands.push(serde_json::from_slice(&message.payload).expect("a command"));
        }
    }
    commands
}

async fn reply(nats: &Nats, command: &Value, result: Value) -> String {
    try_reply(nats, command, &result).await.expect("an answer")
}

async fn try_reply(nats: &Nats, command: &Value, result: &Value) -> Option<String> {
    let reply = json!({
        "saga_id": command["saga_id"], "step": command["step"], "operation": command["operation"],
        "attempt": command["attempt"], "result": result,
    });
    let to = command["reply_to"].as_str().expect("somewhere to answer").to_owned();
    let answer = nats.client().request(to, reply.to_string().into()).await.ok()?;
    Some(String::from_utf8_lossy(&answer.payload).into_owned())
}

/// Answers until it is taken, as a worker does.
async fn answer_surely(nats: &Nats, command: &Value, result: Value) {
    let mut deadline = Deadline::after(SAGA_DEADLINE);
    while try_reply(nats, command, &result).await.as_deref() != Some("+OK") {
        deadline.pause("an answer to be taken").await;
    }
}

pub fn succeeded() -> Value {
    json!({"status": "succeeded", "output": {"id": 7}})
}

pub fn failed() -> Value {
    json!({"status": "failed", "error": {"code": "a_test", "message": "A test's."}})
}

pub fn why() -> Value {
    json!({"by": "ann", "reason": "seen in the ledger"})
}
