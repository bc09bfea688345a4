//! `amends saga …`: looks at sagas and acts on them, through the API.

use amends_schemas::ids::SagaId;
use serde_json::{Value, json};

use crate::cli::{SagaArgs, SagaCommand};
use crate::client::Client;
use crate::tree;

/// Runs one of the verbs.
///
/// # Errors
/// The API's own code and sentence, or that nothing answers.
pub async fn run(args: &SagaArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api);
    match &args.command {
        SagaCommand::List { status, definition, tag, limit } => {
            let mut query = vec![("limit", limit.to_string())];
            for (name, value) in [("status", status), ("definition", definition), ("tag", tag)] {
                if let Some(value) = value {
                    query.push((name, value.clone()));
                }
            }
            let page = client.sagas(&query).await?;
            for summary in &page.items {
                println!("{}", tree::summary_line(summary));
            }
            if page.next_cursor.is_some() {
                println!("there are more: raise --limit");
            }
        }
        SagaCommand::Show { saga_id, history } => {
            let saga_id = SagaId(*saga_id);
            print!("{}", tree::saga(&client.saga(saga_id).await?));
            if *history {
                for entry in client.history(saga_id).await?.items {
                    println!("{}", tree::history_line(&entry));
                }
            }
        }
        SagaCommand::Cancel { saga_id, reason } => {
            let body = json!({"reason": reason, "by": "command line"});
            let answer: Value = client.post(&format!("/v1/sagas/{saga_id}/cancel"), &body).await?;
            match answer.get("forward_saga_id").and_then(Value::as_str) {
                Some(forward) => println!("past its point of no return: saga {forward} cancels it going forward"),
                None => println!("saga {saga_id} makes amends"),
            }
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
