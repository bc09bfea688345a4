//! `notification.send@1`: renders a message, hands it over, records the delivery.
//!
//! One accepted delivery for each key, as far as mail allows it: the delivery is marked pending in a commit of its own
//! before the message is handed over and delivered in another right after, so that a repeat of the command finds it and
//! sends nothing. Between the server's acceptance and that second commit lies a moment in which a crash makes the
//! repeat send the message again. It then bears the same `Message-ID` and `Date` and the same bytes. A file, written
//! again under the same name, stays one file.

use amends_schemas::ids::{DeliveryId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::{Failure, Step, StepContext, Success};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::compose::{ComposeError, Outgoing, compose};
use crate::domain::{CalendarEntry, Delivery, DeliveryStatus, EntryStatus, Locale, Occasion, Recipient};
use crate::events;
use crate::mailer::Mailer;
use crate::repository;
use crate::settings::{NotificationSettings, Sender};
use crate::template::{EventFacts, Facts, MessageTemplate, RecipientFacts, Rendered, TemplateError, Templates};

/// Sends one message to one person.
#[derive(Debug)]
pub struct SendMessage {
    sender: Sender,
    mailer: Mailer,
    templates: Templates,
}

/// What goes in; `schemas/contracts/notification/send.v1.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// What it is about.
    pub registration_id: RegistrationId,
    /// Which message.
    pub template: String,
    /// To whom.
    pub recipient: Recipient,
    /// The event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<u64>,
    /// The place in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// What is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Money>,
    /// The invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_number: Option<String>,
    /// The credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_note_number: Option<String>,
}

/// The event, as the saga carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Title.
    pub title: String,
    /// Start.
    pub starts_at: DateTime<Utc>,
    /// End.
    pub ends_at: DateTime<Utc>,
    /// Its own time zone.
    pub timezone: String,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its `Message-ID`.
    pub message_id: String,
    /// When it was accepted.
    pub delivered_at: DateTime<Utc>,
}

impl SendMessage {
    /// By the configured way.
    ///
    /// # Panics
    /// When a compiled-in template does not parse; a test keeps such a build from being made.
    pub fn new(settings: NotificationSettings) -> Self {
        Self {
            mailer: Mailer::new(&settings),
            sender: settings.from,
            templates: Templates::load().expect("the templates that ship parse; a test says so"),
        }
    }

    /// The delivery as it begins, with the text and the calendar entry. Pure.
    fn write(&self, delivery_id: DeliveryId, now: DateTime<Utc>, input: Input) -> Result<Draft, Failure> {
        let template: MessageTemplate = input.template.parse().map_err(refusal)?;
        let locale = Locale::best(input.recipient.locale.as_deref());
        let occasion = input
            .event
            .as_ref()
            .map(|event| Occasion::new(&event.title, event.starts_at, event.ends_at, &event.timezone))
            .transpose()
            .map_err(|error| Failure::failed("template_data", error.to_string()))?;
        let facts = Facts {
            recipient: RecipientFacts { name: &input.recipient.name },
            registration_id: input.registration_id,
            event: occasion.as_ref().map(|event| EventFacts { title: event.title(), when: event.when(locale) }),
            seat: input.seat,
            position: input.position,
            amount: input.amount.map(|money| locale.money(money)),
            refund: input.refund.map(|money| locale.money(money)),
            invoice_number: input.invoice_number.as_deref(),
            credit_note_number: input.credit_note_number.as_deref(),
        };
        let rendered = self.templates.render(template, locale, &facts).map_err(refusal)?;
        let delivery = Delivery {
            delivery_id,
            registration_id: input.registration_id,
            template: template.name().to_owned(),
            recipient: input.recipient,
            locale,
            subject: rendered.subject.clone(),
            status: DeliveryStatus::Pending,
            message_id: Delivery::message_id(delivery_id, self.sender.domain()),
            attempt_count: 0,
            error: None,
            // A mail's Date has whole seconds.
            created_at: now.trunc_subsecs(0),
            delivered_at: None,
        };
        Ok(Draft { delivery, rendered, calendar: entry_status(template).zip(occasion) })
    }

    fn compose(&self, draft: Draft) -> Result<(Delivery, Outgoing), Failure> {
        let Draft { delivery, rendered, calendar } = draft;
        let calendar = calendar.map(|(status, occasion)| {
            CalendarEntry {
                registration_id: delivery.registration_id,
                occasion: &occasion,
                status,
                organizer: self.sender.mailbox().email.as_ref(),
                made_at: delivery.created_at,
            }
            .to_text()
        });
        match compose(&self.sender, &delivery, rendered, calendar) {
            Ok(message) => Ok((delivery, message)),
            Err(error @ ComposeError::Address) => Err(Failure::failed("recipient_rejected", error.to_string())),
            Err(error @ ComposeError::Message) => Err(Failure::bug(error.to_string())),
        }
    }
}

/// What is written before anything is sent.
struct Draft {
    delivery: Delivery,
    rendered: Rendered,
    calendar: Option<(EntryStatus, Occasion)>,
}

/// Which calendar entry goes with a message.
const fn entry_status(template: MessageTemplate) -> Option<EntryStatus> {
    match template {
        MessageTemplate::RegistrationConfirmed => Some(EntryStatus::Confirmed),
        MessageTemplate::RegistrationWaitlisted => None,
        MessageTemplate::RegistrationCancelled => Some(EntryStatus::Cancelled),
    }
}

impl Step for SendMessage {
    const CONTRACT: &'static str = "notification.send@1";

    type Input = Input;
    type Output = Output;

    async fn execute(&self, context: &mut StepContext, input: Input) -> Result<Success<Output>, Failure> {
        let delivery_id = DeliveryId::derive(context.saga_id.uuid(), &context.key);
        // Not in the handler's transaction: what is marked here must stand whatever becomes of that.
        let database = context.work.database().clone();
        let known = repository::find(&database, delivery_id).await?;
        let delivered = match known {
            Some(delivery) if delivery.delivered_at.is_some() => delivery,
            known => {
                let mut draft = self.write(delivery_id, context.work.now(), input)?;
                if let Some(known) = known {
                    draft.delivery.attempt_count = known.attempt_count;
                    draft.delivery.created_at = known.created_at;
                }
                let (delivery, message) = self.compose(draft)?;
                let delivery = delivery.tried();
                repository::store(&database, &delivery).await?;
                if let Err(error) = self.mailer.send(delivery_id, message).await {
                    repository::store(&database, &delivery.refused(error.code())).await?;
                    return Err(error.into());
                }
                let delivery = delivery.accepted(Utc::now());
                repository::store(&database, &delivery).await?;
                delivery
            }
        };
        let delivered_at = delivered.delivered_at.ok_or_else(|| Failure::bug("a delivered message has no time"))?;
        context.work.publish(events::notification_delivered(&delivered, delivered_at));
        Ok(Success::new(Output { delivery_id, message_id: delivered.message_id, delivered_at }))
    }
}

fn refusal(error: TemplateError) -> Failure {
    match &error {
        TemplateError::Unknown(_) => Failure::failed("unknown_template", error.to_string()),
        TemplateError::Data { .. } => Failure::failed("template_data", error.to_string()),
        TemplateError::Broken { .. } => Failure::bug(error.to_string()),
    }
}
