//! A worker as another language would write it: raw JetStream, raw JSON, an inbox in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_nats::Nats;
use async_nats::jetstream::AckKind;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::STEPS;

/// What a worker does with a command: its `result`, or `None` to keep silent and never acknowledge it.
pub type Behaviour = dyn Fn(&Value) -> Option<Value> + Send + Sync;

pub struct Workers {
    /// Idempotency keys, in the order in which they were first worked upon.
    pub done: Arc<Mutex<Vec<String>>>,
    /// Every command that came, repeats included.
    pub received: Arc<Mutex<Vec<Value>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Everything succeeds and gives its input back.
pub fn succeed(command: &Value) -> Option<Value> {
    Some(json!({"status": "succeeded", "output": command["input"]}))
}

impl Workers {
    /// One worker for each step.
    pub fn start(nats: &Nats, behaviour: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let (done, received) = (Arc::default(), Arc::default());
        let inbox: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let tasks = STEPS
            .into_iter()
            .map(|step| {
                let worker = Worker {
                    nats: nats.clone(),
                    step,
                    behaviour: Arc::clone(&behaviour),
                    inbox: Arc::clone(&inbox),
                    done: Arc::clone(&done),
                    received: Arc::clone(&received),
                };
                tokio::spawn(worker.run())
            })
            .collect();
        Self { done, received, tasks }
    }

    pub fn done(&self) -> Vec<String> {
        self.done.lock().expect("unpoisoned").clone()
    }

    pub fn received(&self) -> Vec<Value> {
        self.received.lock().expect("unpoisoned").clone()
    }
}

struct Worker {
    nats: Nats,
    step: &'static str,
    behaviour: Arc<Behaviour>,
    inbox: Arc<Mutex<HashMap<String, Value>>>,
    done: Arc<Mutex<Vec<String>>>,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Worker {
    async fn run(self) {
        let contract = format!("test.{}@1", self.step).parse().expect("a contract's name");
        loop {
            // Anything wrong with the stream: make the consumer again and go on.
            if let Ok(consumer) = self.nats.command_consumer(&contract).await
                && let Ok(mut messages) = consumer
                    .stream()
                    .heartbeat(Duration::from_millis(500))
                    .expires(Duration::from_secs(2))
                    .messages()
                    .await
            {
                while let Some(Ok(message)) = messages.next().await {
                    self.work(message).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn work(&self, message: async_nats::jetstream::Message) {
        let command: Value = serde_json::from_slice(&message.payload).expect("commands are JSON");
        self.received.lock().expect("unpoisoned").push(command.clone());
        let key = format!("{} {}", command["key"].as_str().expect("a key"), command["operation"]);
        let known = self.inbox.lock().expect("unpoisoned").get(&key).cloned();
        let result = match known {
            Some(result) => result,
            None => {
                let Some(result) = (self.behaviour)(&command) else { return };
                if result["status"] == "succeeded" || result["status"] == "failed" {
                    self.inbox.lock().expect("unpoisoned").insert(key, result.clone());
                    self.done.lock().expect("unpoisoned").push(format!(
                        "{} {}",
                        command["operation"].as_str().expect("an operation"),
                        command["step"].as_str().expect("a step")
                    ));
                }
                result
            }
        };
        if reply(&self.nats, &command, result).await == "+OK" {
            message.ack().await.ok();
        } else {
            message.ack_with(AckKind::Nak(Some(Duration::from_millis(100)))).await.ok();
        }
    }
}

/// Answers a command; what the owner says to it, empty when nobody does.
pub async fn reply(nats: &Nats, command: &Value, result: Value) -> String {
    let reply = json!({
        "saga_id": command["saga_id"], "step": command["step"], "operation": command["operation"],
        "attempt": command["attempt"], "result": result,
    });
    let to = command["reply_to"].as_str().expect("somewhere to answer").to_owned();
    let request = async_nats::Request::new().payload(reply.to_string().into()).timeout(Some(Duration::from_secs(2)));
    match nats.client().send_request(to, request).await {
        Ok(answer) => String::from_utf8_lossy(&answer.payload).into_owned(),
        Err(_) => String::new(),
    }
}
