//! `amends saga …`: looks at sagas and acts on them, through the API.

use amends_schemas::ids::SagaId;
use amends_schemas::operate::{CompensationPreview, Operated, OperatorVerb};
use amends_schemas::search::{SagaCount, SagaCounts};
use amends_schemas::signal::SignalReceipt;
use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::{AuditArgs, FilterArgs, ResolveAs, SagaArgs, SagaCommand};
use crate::client::Client;
use crate::tree;

/// Runs one of the verbs.
///
/// # Errors
/// The API's own code and sentence, or that nothing answers.
pub async fn run(args: &SagaArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api);
    match &args.command {
        SagaCommand::List { filter, sort, cursor, limit } => {
            let mut query = filter.given();
            query.push(("limit", limit.to_string()));
            query.extend(sort.clone().map(|sort| ("sort", sort)));
            query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            let page = client.sagas(&query).await?;
            for summary in &page.items {
                println!("{}", tree::summary_line(summary));
            }
            if let Some(cursor) = page.next_cursor {
                println!("there may be more: --cursor {cursor}");
            }
        }
        SagaCommand::Count { filter } => count(&client, filter).await?,
        SagaCommand::Show { saga_id, history } => {
            let saga_id = SagaId(*saga_id);
            print!("{}", tree::saga(&client.saga(saga_id).await?));
            if *history {
                let facts = client.whole_history(saga_id).await?;
                facts.iter().for_each(|entry| println!("{}", tree::history_line(entry)));
            }
        }
        SagaCommand::Cancel { saga_id, reason } => {
            let body = json!({"reason": reason, "by": "command line"});
            let answer: Value = client.post(&format!("/v1/sagas/{saga_id}/cancel"), &body).await?;
            match answer.get("forward_saga_id").and_then(Value::as_str) {
                Some(forward) => println!("past its point of no return: saga {forward} cancels it going forward"),
                None if answer["effect"] == "undecided" => println!(
                    "saga {saga_id} is at its point of no return: if that did not happen it makes amends, if it did it is cancelled going forward where its definition can; show it to see which"
                ),
                None => println!("saga {saga_id} makes amends"),
            }
        }
        SagaCommand::Preview { saga_id } => {
            let path = format!("/v1/sagas/{saga_id}/compensation-preview");
            print!("{}", tree::preview(&client.get::<CompensationPreview>(&path, &[]).await?));
        }
        SagaCommand::Pause { saga_id, audit } => {
            operate(&client, *saga_id, OperatorVerb::Pause, audit, json!({})).await?;
        }
        SagaCommand::Resume { saga_id, audit } => {
            operate(&client, *saga_id, OperatorVerb::Resume, audit, json!({})).await?;
        }
        SagaCommand::Retry { saga_id, step, audit } => {
            operate(&client, *saga_id, OperatorVerb::Retry, audit, json!({"step": step})).await?;
        }
        SagaCommand::RetryFrom { saga_id, step, audit } => {
            operate(&client, *saga_id, OperatorVerb::RetryFrom, audit, json!({"step": step})).await?;
        }
        SagaCommand::EditInput { saga_id, input, step, audit } => {
            let input: Value = serde_json::from_str(input).context("the input is not JSON")?;
            operate(&client, *saga_id, OperatorVerb::EditInput, audit, json!({"step": step, "input": input})).await?;
        }
        SagaCommand::Signal { saga_id, signal, outcome, data, by, key } => {
            let data: Value = match data {
                Some(data) => serde_json::from_str(data).context("--data is not JSON")?,
                None => Value::Null,
            };
            let body = json!({"outcome": outcome, "data": data, "by": by});
            let path = format!("/v1/sagas/{saga_id}/signals/{signal}");
            let receipt: SignalReceipt = client.post_once(&path, key.as_deref(), &body).await?;
            println!("{}", tree::receipt_line(&receipt));
        }
        SagaCommand::Skip { saga_id, step, audit } => {
            operate(&client, *saga_id, OperatorVerb::Skip, audit, json!({"step": step})).await?;
        }
        SagaCommand::Resolve { saga_id, resolution, step, outcome, output, audit } => {
            let output: Value = match output {
                Some(output) => serde_json::from_str(output).context("--output is not JSON")?,
                None => Value::Null,
            };
            let resolution = match resolution {
                ResolveAs::Succeeded => "succeeded",
                ResolveAs::Failed => "failed",
            };
            let body = json!({"step": step, "as": resolution, "outcome": outcome, "output": output});
            operate(&client, *saga_id, OperatorVerb::Resolve, audit, body).await?;
        }
        SagaCommand::Terminate { saga_id, force, audit } => {
            operate(&client, *saga_id, OperatorVerb::Terminate, audit, json!({"force": force})).await?;
        }
        SagaCommand::Watch { saga_id } => {
            client
                .watch(SagaId(*saga_id), |view| {
                    print!("{}", tree::saga(view));
                    true
                })
                .await?;
        }
    }
    Ok(())
}

/// How many sagas a filter finds; without one, how many there are of each definition and status.
async fn count(client: &Client, filter: &FilterArgs) -> anyhow::Result<()> {
    let query = filter.given();
    if query.is_empty() {
        let counts: SagaCounts = client.get("/v1/sagas/counts", &[]).await?;
        print!("{}", tree::counts(&counts));
        return Ok(());
    }
    let found: SagaCount = client.get("/v1/sagas/count", &query).await?;
    println!("{}{}", if found.at_least { "at least " } else { "" }, found.count);
    Ok(())
}

/// Does one of the verbs that an operator has, and says so.
async fn operate(
    client: &Client,
    saga_id: uuid::Uuid,
    verb: OperatorVerb,
    audit: &AuditArgs,
    mut body: Value,
) -> anyhow::Result<()> {
    if let Some(members) = body.as_object_mut() {
        members.insert("reason".to_owned(), json!(audit.reason));
        members.insert("by".to_owned(), json!(audit.by));
    }
    let path = format!("/v1/sagas/{saga_id}/{}", verb.as_str());
    let operated: Operated = client.post_once(&path, audit.key.as_deref(), &body).await?;
    println!("{}", tree::operated_line(&operated));
    Ok(())
}
