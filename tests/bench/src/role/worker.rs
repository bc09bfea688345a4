//! Four no-op workers as any language could write them: a pull consumer, a reply as a request, an acknowledgement after `+OK`.

use std::time::{Duration, Instant};

use amends_nats::Nats;
use amends_schemas::command::REPLY_COMMITTED;
use anyhow::Context;
use async_nats::Request;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::connect;
use crate::control::say_ready;
use crate::job;

/// Commands asked for at once.
const BATCH: usize = 512;

/// Commands answered at once by one worker: above the most sagas in flight.
const CONCURRENCY: usize = 2048;

/// How long the owner may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a worker that does nothing needs of a command.
#[derive(Deserialize)]
struct Wanted<'a> {
    saga_id: &'a str,
    step: &'a str,
    operation: &'a str,
    attempt: u32,
    reply_to: &'a str,
}

/// Serves until killed.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for step in job::STEPS {
        let nats = connect(url, step).await?;
        let consumer = nats.command_consumer(&job::contract(step)).await?;
        let messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
        workers.spawn(async move {
            messages
                .for_each_concurrent(CONCURRENCY, |message| async {
                    match message {
                        Ok(message) => serve(&nats, &message).await,
                        Err(error) => eprintln!("worker {step}: {error}"),
                    }
                })
                .await;
        });
    }
    say_ready(began);
    workers.join_next().await.context("there are workers")??;
    anyhow::bail!("a consumer ended")
}

async fn serve(nats: &Nats, message: &Message) {
    let Ok(command) = serde_json::from_slice::<Wanted<'_>>(&message.payload) else {
        eprintln!("a command that cannot be read");
        return;
    };
    let reply = json!({
        "saga_id": command.saga_id, "step": command.step, "operation": command.operation, "attempt": command.attempt,
        "result": {"status": "succeeded", "output": job::output()},
    });
    let request = Request::new().payload(reply.to_string().into()).timeout(Some(REPLY_TIMEOUT));
    let taken = match nats.client().send_request(command.reply_to.to_owned(), request).await {
        Ok(answer) => answer.payload == REPLY_COMMITTED,
        Err(_) => false,
    };
    let kind = if taken { AckKind::Ack } else { AckKind::Nak(Some(Duration::from_millis(100))) };
    if let Err(error) = message.ack_with(kind).await {
        eprintln!("a command cannot be acknowledged: {error}");
    }
}
