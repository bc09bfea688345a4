//! One message to one person, and how far it has come.

use amends_schemas::ids::{DeliveryId, RegistrationId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::locale::Locale;

/// This context's own view of a person: whom to write to, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Language tag, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// About to be handed over, or handed over without an answer.
    Pending,
    /// The mail server has accepted it, or the file is written.
    Delivered,
}

/// A delivery. At most one is accepted for each key; its id and message id are derived from that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// What it is about.
    pub registration_id: RegistrationId,
    /// The template.
    pub template: String,
    /// To whom.
    pub recipient: Recipient,
    /// In which of our languages.
    pub locale: Locale,
    /// The subject line.
    pub subject: String,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// `Message-ID`, the same for every attempt: a mailbox that gets a message twice can tell.
    pub message_id: String,
    /// How often it was handed over, or tried to.
    pub attempt_count: u32,
    /// Code of the last trouble while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was first tried; the `Date` of the message.
    pub created_at: DateTime<Utc>,
    /// When it was accepted.
    #[serde(default)]
    pub delivered_at: Option<DateTime<Utc>>,
}

impl Delivery {
    /// The message id of a delivery.
    pub fn message_id(delivery_id: DeliveryId, domain: &str) -> String {
        format!("<{delivery_id}@{domain}>")
    }

    /// About to be handed over, once more.
    #[must_use]
    pub fn tried(self) -> Self {
        Self { attempt_count: self.attempt_count.saturating_add(1), error: None, ..self }
    }

    /// Not accepted this time.
    #[must_use]
    pub fn refused(self, code: &str) -> Self {
        match self.status {
            DeliveryStatus::Pending => Self { error: Some(code.to_owned()), ..self },
            DeliveryStatus::Delivered => self,
        }
    }

    /// Accepted. The first time counts.
    #[must_use]
    pub fn accepted(self, now: DateTime<Utc>) -> Self {
        let delivered_at = Some(self.delivered_at.unwrap_or(now));
        Self { status: DeliveryStatus::Delivered, error: None, delivered_at, ..self }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_delivery_is_tried_until_it_is_accepted_and_then_stays_so() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let (created, first, second) =
            (at("2026-05-14T07:00:00Z"), at("2026-05-14T07:00:05Z"), at("2026-05-14T07:00:09Z"));
        let delivery = Delivery {
            delivery_id: DeliveryId(Uuid::from_u128(1)),
            registration_id: RegistrationId(Uuid::from_u128(2)),
            template: "registration-confirmed".to_owned(),
            recipient: Recipient { name: "Zoé".to_owned(), email: "zoe@example.org".to_owned(), locale: None },
            locale: Locale::En,
            subject: "s".to_owned(),
            status: DeliveryStatus::Pending,
            message_id: Delivery::message_id(DeliveryId(Uuid::from_u128(1)), "example.org"),
            attempt_count: 0,
            error: None,
            created_at: created,
            delivered_at: None,
        };
        let delivery = delivery.tried().refused("mail_server_busy");
        assert_eq!((delivery.attempt_count, delivery.error.as_deref()), (1, Some("mail_server_busy")));
        let delivery = delivery.tried().accepted(first);
        assert_eq!(
            (delivery.attempt_count, delivery.status, delivery.error.as_deref()),
            (2, DeliveryStatus::Delivered, None)
        );
        let delivery = delivery.accepted(second).refused("late");
        assert_eq!((delivery.delivered_at, delivery.error), (Some(first), None));
    }
}
