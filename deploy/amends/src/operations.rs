//! `amends workers`, `amends queues`, `amends dead-letters …`: who serves, what waits, what could not be handled; through the API.

use amends_schemas::dead_letter::{DeadLetter, DeadLetterActed, DeadLetterVerb};
use amends_schemas::presence::{ContractPresence, QueueView, WorkerInstance};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::cli::{AuditArgs, DeadLetterCommand, DeadLettersArgs, OperationsArgs};
use crate::client::Client;

/// A list in which everything is on one page.
#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// A page of dead letters.
#[derive(Deserialize)]
struct Letters {
    items: Vec<DeadLetter>,
    next_cursor: Option<String>,
    unanswered: Vec<String>,
}

/// Says who serves what.
///
/// # Errors
/// The API's own code and sentence, or that nothing answers.
pub async fn workers(args: &OperationsArgs) -> anyhow::Result<()> {
    let workers: Items<ContractPresence> = Client::new(&args.api).get("/v1/workers", &[]).await?;
    for item in &workers.items {
        println!("{}", presence_line(item));
        for instance in &item.instances {
            println!("    {}", instance_line(instance));
        }
    }
    Ok(())
}

/// Says what waits.
///
/// # Errors
/// As [`workers`].
pub async fn queues(args: &OperationsArgs) -> anyhow::Result<()> {
    let queues: Items<QueueView> = Client::new(&args.api).get("/v1/queues", &[]).await?;
    for item in &queues.items {
        println!("{}", queue_line(item));
    }
    Ok(())
}

/// Looks at dead letters and acts on them.
///
/// # Errors
/// As [`workers`].
pub async fn dead_letters(args: &DeadLettersArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api);
    match &args.command {
        DeadLetterCommand::List { context, status, limit } => {
            let mut query = vec![("limit", limit.to_string()), ("status", status.as_str().to_owned())];
            if let Some(context) = context {
                query.push(("context", context.clone()));
            }
            let page: Letters = client.get("/v1/dead-letters", &query).await?;
            for letter in &page.items {
                println!("{}", letter_line(letter));
            }
            for context in &page.unanswered {
                println!("context {context} does not answer");
            }
            if page.next_cursor.is_some() {
                println!("there are more: raise --limit");
            }
        }
        DeadLetterCommand::Show { context, id } => {
            let letter: DeadLetter = client.get(&format!("/v1/dead-letters/{context}/{id}"), &[]).await?;
            print!("{}", letter_sheet(&letter));
        }
        DeadLetterCommand::Redrive { context, id, audit } => {
            act(&client, context, id, DeadLetterVerb::Redrive, audit).await?;
        }
        DeadLetterCommand::Discard { context, id, audit } => {
            act(&client, context, id, DeadLetterVerb::Discard, audit).await?;
        }
    }
    Ok(())
}

async fn act(client: &Client, context: &str, id: &str, verb: DeadLetterVerb, audit: &AuditArgs) -> anyhow::Result<()> {
    let body = json!({"reason": audit.reason, "by": audit.by});
    let path = format!("/v1/dead-letters/{context}/{id}/{}", verb.as_str());
    let acted: DeadLetterActed = client.post_once(&path, audit.key.as_deref(), &body).await?;
    let done = match acted.verb {
        DeadLetterVerb::Redrive => "published again",
        DeadLetterVerb::Discard => "settled",
    };
    println!("{}/{} {done} at {}, operation {}", acted.context, acted.id, time(acted.at), acted.operation_id);
    Ok(())
}

fn presence_line(item: &ContractPresence) -> String {
    let name = item.contract.as_ref().map_or_else(|| format!("{} (queries only)", item.context), ToString::to_string);
    match (item.unserved_since, item.last_seen_at, item.instance_count) {
        (Some(_), Some(last_seen), _) => format!("{name}: nobody since {}", time(last_seen)),
        (Some(since), None, _) => format!("{name}: nobody since {} at least", time(since)),
        (None, Some(_), 0) => format!("{name}: served by somebody who does not make itself known"),
        (None, Some(_), count) => format!("{name}: {count} {}", if count == 1 { "process" } else { "processes" }),
        (None, None, _) => format!("{name}: not looked for yet"),
    }
}

fn instance_line(instance: &WorkerInstance) -> String {
    let since = instance.started_at.map(|at| format!(", since {}", time(at))).unwrap_or_default();
    format!("{} version {}{since}", instance.id, instance.version)
}

fn queue_line(item: &QueueView) -> String {
    let oldest = item.oldest_at.map(|at| format!(", the oldest sent at {}", time(at))).unwrap_or_default();
    format!(
        "{}: {} waiting, {} with workers, {} of them delivered again{oldest}",
        item.contract, item.waiting, item.with_workers, item.redelivered
    )
}

fn letter_line(letter: &DeadLetter) -> String {
    let about = letter.contract.as_ref().map_or_else(|| letter.subject.clone(), ToString::to_string);
    let saga = letter.saga_id.map(|saga_id| format!(" saga {saga_id}")).unwrap_or_default();
    let times = if letter.times == 1 { String::new() } else { format!(" ({} times)", letter.times) };
    let (context, id, last) = (&letter.context, &letter.id, time(letter.last_at));
    format!("{context} {id} {last} {about}{saga} {}: {}{times}", letter.code, letter.message)
}

fn letter_sheet(letter: &DeadLetter) -> String {
    let mut text = format!("{}\n", letter_line(letter));
    text.push_str(&format!(
        "{}, first put aside at {}, on {}\n",
        letter.status.as_str(),
        time(letter.first_at),
        letter.subject
    ));
    for act in &letter.acts {
        let reason = if act.reason.is_empty() { "no reason was given" } else { &act.reason };
        text.push_str(&format!("{} {} by {}: {reason}\n", time(act.at), act.verb.as_str(), act.by));
    }
    text.push_str(&format!("{} bytes:\n{}\n", letter.payload_bytes, letter.payload));
    text
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_reads_as_a_sentence() {
        let at = DateTime::from_timestamp(1_767_348_000, 0);
        let item = |instance_count, last_seen_at, unserved_since| ContractPresence {
            context: "payment".to_owned(),
            contract: "payment.capture@1".parse().ok(),
            instance_count,
            instances: vec![],
            last_seen_at,
            unserved_since,
        };
        for (item, line) in [
            (item(2, at, None), "payment.capture@1: 2 processes"),
            (item(0, at, None), "payment.capture@1: served by somebody who does not make itself known"),
            (item(0, at, at), "payment.capture@1: nobody since 2026-01-02T10:00:00Z"),
            (item(0, None, at), "payment.capture@1: nobody since 2026-01-02T10:00:00Z at least"),
            (item(0, None, None), "payment.capture@1: not looked for yet"),
        ] {
            assert_eq!(presence_line(&item), line);
        }
    }
}
