//! `amends bulk …`: one verb over every saga that a filter finds, through the API.

use std::fmt::Write as _;

use amends_schemas::bulk::{BulkOperation, BulkVerb};
use amends_schemas::saga::Page;
use amends_schemas::search::Found;
use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::cli::{BulkArgs, BulkCommand, BulkControlArgs, BulkStartArgs, BulkVerbName, FilterArgs, ResolveAs};
use crate::client::Client;
use crate::tree;

/// Where bulk operations stand in the API.
const PATH: &str = "/v1/bulk-operations";

/// Runs one of the verbs.
///
/// # Errors
/// The API's own code and sentence, or that nothing answers.
pub async fn run(args: &BulkArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api);
    match &args.command {
        BulkCommand::Start(args) => start(&client, args).await?,
        BulkCommand::Show { bulk_id } => {
            let operation: BulkOperation = client.get(&format!("{PATH}/{bulk_id}"), &[]).await?;
            print!("{}", shown(&operation));
        }
        BulkCommand::List { limit } => {
            let page: Page<BulkOperation> = client.get(PATH, &[("limit", limit.to_string())]).await?;
            for operation in &page.items {
                println!("{}", line(operation));
            }
        }
        BulkCommand::Pause(args) => control(&client, BulkVerb::Pause, args).await?,
        BulkCommand::Resume(args) => control(&client, BulkVerb::Resume, args).await?,
        BulkCommand::Cancel(args) => control(&client, BulkVerb::Cancel, args).await?,
    }
    Ok(())
}

async fn start(client: &Client, args: &BulkStartArgs) -> anyhow::Result<()> {
    let body = body(args)?;
    let key = args.audit.key.as_deref();
    if args.dry_run {
        let found: Found = client.post_once(PATH, key, &body).await?;
        let least = if found.count.at_least { "at least " } else { "" };
        println!("{} would touch {least}{} sagas; nothing is changed. The first:", verb(args.verb), found.count.count);
        for summary in &found.items {
            println!("{}", tree::summary_line(summary));
        }
        return Ok(());
    }
    let operation: BulkOperation = client.post_once(PATH, key, &body).await?;
    println!("{}", line(&operation));
    Ok(())
}

async fn control(client: &Client, verb: BulkVerb, args: &BulkControlArgs) -> anyhow::Result<()> {
    let path = format!("{PATH}/{}/{}", args.bulk_id, verb.as_str());
    let operation: BulkOperation = client.post(&path, &json!({"reason": args.reason, "by": args.by})).await?;
    println!("{}", line(&operation));
    Ok(())
}

/// The request; what was not given is left out.
fn body(args: &BulkStartArgs) -> anyhow::Result<Value> {
    let output = args.output.as_deref().map(serde_json::from_str::<Value>).transpose();
    let body = json!({
        "verb": verb(args.verb),
        "filter": filter(&args.filter),
        "dry_run": args.dry_run,
        "per_second": args.per_second,
        "step": args.on_step,
        "as": args.resolution.map(|resolution| match resolution {
            ResolveAs::Succeeded => "succeeded",
            ResolveAs::Failed => "failed",
        }),
        "outcome": args.outcome,
        "output": output.context("--output is not JSON")?,
        "force": args.force,
        "reason": args.audit.reason,
        "by": args.audit.by,
    });
    Ok(match body {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    })
}

/// The criteria as they stand in a body: what the query separates by commas are lists there.
fn filter(args: &FilterArgs) -> Value {
    let mut criteria: Map<String, Value> = Map::new();
    for (name, value) in args.given() {
        let value = match name {
            "status" | "tag" => json!(value.split(',').collect::<Vec<_>>()),
            "version" => json!(args.version),
            "paused" => json!(args.paused),
            _ => json!(value),
        };
        criteria.insert(name.to_owned(), value);
    }
    Value::Object(criteria)
}

const fn verb(name: BulkVerbName) -> &'static str {
    match name {
        BulkVerbName::Pause => "pause",
        BulkVerbName::Resume => "resume",
        BulkVerbName::Retry => "retry",
        BulkVerbName::RetryFrom => "retry_from",
        BulkVerbName::Skip => "skip",
        BulkVerbName::Resolve => "resolve",
        BulkVerbName::Cancel => "cancel",
        BulkVerbName::Terminate => "terminate",
    }
}

/// One bulk operation on one line.
fn line(operation: &BulkOperation) -> String {
    let least = if operation.matched.at_least { "at least " } else { "" };
    format!(
        "{}  {:<9}  {:<9}  {} of {least}{} done, {} refused  {}: {}",
        operation.bulk_id,
        operation.act.verb(),
        operation.status.as_str(),
        operation.done,
        operation.matched.count,
        operation.refused,
        operation.by,
        operation.reason,
    )
}

/// One bulk operation with what refused and who has changed it.
fn shown(operation: &BulkOperation) -> String {
    let mut text = line(operation);
    let filter = serde_json::to_string(&operation.filter).unwrap_or_default();
    let _ = writeln!(text, "\n│ filter {filter}, at most {} in a second", operation.per_second);
    for refused in &operation.refusals {
        let _ = writeln!(text, "│ {} refused: {}", refused.count, refused.code);
    }
    for change in &operation.changes {
        let _ = writeln!(text, "│ {} by {}: {}", change.verb.as_str(), change.by, change.reason);
    }
    for example in &operation.examples {
        let _ = writeln!(text, "✗ {}  {}: {}", example.saga_id, example.code, example.message);
    }
    text
}
