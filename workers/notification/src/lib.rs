//! The bounded context notification: one message to one person, delivered once, in the person's language.
//!
//! * [`domain`]: deliveries, recipients, times and amounts as people read them, calendar entries; pure.
//! * [`template`]: the texts, compiled in from `templates/`, rendered strictly.
//! * [`compose`]: a rendered text becomes a MIME message, the same bytes every time.
//! * [`mailer`]: hands a message to a mail server, or writes it into a folder.
//! * [`steps`]: what sagas call, `notification.send@1`.
//! * [`queries`]: what the API asks.
//! * [`events`]: what other contexts hear.
//! * `repository`: the only SurrealQL.

pub mod compose;
pub mod domain;
pub mod events;
pub mod mailer;
pub mod queries;
mod repository;
mod settings;
pub mod steps;
pub mod template;

use amends_sdk::BoundedContext;

pub use settings::{MailRoute, NotificationSettings, Sender, SettingsError};

/// The name of this context: its database, the first token of its subjects and contracts.
pub const NAME: &str = "notification";

/// The context, ready to run.
pub fn context(settings: NotificationSettings) -> BoundedContext {
    BoundedContext::new(NAME, repository::SCHEMA)
        .step(steps::SendMessage::new(settings))
        .endpoint(queries::ListDeliveries)
}
