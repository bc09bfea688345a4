//! `amends dev --demo`: an event and three people, of whom one pays, one is declined and one cancels afterwards.

use amends_schemas::ids::SagaId;
use amends_schemas::saga::{SagaView, StepStatus};
use serde_json::{Value, json};

use crate::client::Client;
use crate::tree;

/// Plays the demo against the API at `api`, showing each step as it happens.
///
/// # Errors
/// Whatever the API refuses.
pub async fn run(api: &str, gateway: &str) -> anyhow::Result<()> {
    let client = Client::new(api);
    println!("\nAn event is created and published: 50 seats at 120.00 EUR.");
    let event: Value = client
        .post(
            "/v1/events",
            &json!({
                "title": "Sagas in Practice", "starts_at": "2031-06-12T07:00:00Z", "ends_at": "2031-06-12T16:00:00Z",
                "timezone": "Europe/Paris", "capacity": 50, "tax_rate": "0.20",
                "price": {"amount": "120.00", "currency": "EUR"},
            }),
        )
        .await?;
    let event_id = text(&event, "event_id");
    let _: Value = client.post(&format!("/v1/events/{event_id}/publish"), &json!({})).await?;

    println!("\nAda registers and pays.");
    let ada = register(&client, event_id, "Ada Lovelace", "ada@example.org", "tok_ok").await?;
    println!("\nBen registers; his card is declined.");
    register(&client, event_id, "Ben Bitdiddle", "ben@example.org", "tok_declined").await?;
    println!("\nCleo registers, pays, and cancels afterwards.");
    let cleo = register(&client, event_id, "Cleo Patra", "cleo@example.org", "tok_ok").await?;
    let cancelled: Value =
        client.post(&format!("/v1/registrations/{cleo}/cancel"), &json!({"reason": "cannot come after all"})).await?;
    follow(&client, text(&cancelled, "saga_id")).await?;

    println!("\nLook at it:");
    println!("  {api}/v1/sagas                                  every saga");
    println!("  {api}/v1/registrations/{ada}   Ada's seat");
    println!("  {api}/v1/invoices?registration_id={ada}   her invoice");
    println!("  {api}/v1/payments?registration_id={cleo}   Cleo's payment and refund");
    println!("  {gateway}/ledger                                 what the gateway says was charged");
    println!("  amends saga list --api {api}\n");
    Ok(())
}

/// Registers one person and follows the saga to its end; answers the registration's id.
async fn register(client: &Client, event_id: &str, name: &str, email: &str, token: &str) -> anyhow::Result<String> {
    let body = json!({"event_id": event_id, "attendee": {"name": name, "email": email, "locale": "en"}, "payment_token": token});
    let accepted: Value = client.post("/v1/registrations", &body).await?;
    follow(client, text(&accepted, "saga_id")).await?;
    let registration_id = text(&accepted, "registration_id").to_owned();
    let registration: Value = client.get(&format!("/v1/registrations/{registration_id}"), &[]).await?;
    println!("  → the registration is {}", text(&registration, "status"));
    Ok(registration_id)
}

/// Prints each step as it changes, until the saga is final.
async fn follow(client: &Client, saga_id: &str) -> anyhow::Result<()> {
    let saga_id: SagaId = saga_id.parse()?;
    let mut seen: Vec<StepStatus> = Vec::new();
    let mut last: Option<SagaView> = None;
    client
        .watch(saga_id, |view| {
            let width = view.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
            for (index, step) in view.steps.iter().enumerate() {
                let new = seen.get(index) != Some(&step.status);
                if new && !matches!(step.status, StepStatus::Pending | StepStatus::Skipped | StepStatus::Running) {
                    println!("  {}", tree::step_line(step, width));
                }
            }
            seen = view.steps.iter().map(|step| step.status).collect();
            last = Some(view.clone());
            true
        })
        .await?;
    if let Some(view) = last {
        println!("  saga {} {} is {}", view.definition, view.saga_id, view.status.as_str());
    }
    Ok(())
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
