//! What other contexts hear: `notification.NotificationDelivered.v1`; its schema lies in `schemas/events/notification`.

use amends_schemas::ids::{DeliveryId, RegistrationId};
use amends_sdk::DomainEvent;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{Delivery, Locale};

/// A message was accepted by the mail server, or written. Says nothing about the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDelivered {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// What it is about.
    pub registration_id: RegistrationId,
    /// The template.
    pub template: String,
    /// In which language.
    pub locale: Locale,
    /// When.
    pub delivered_at: DateTime<Utc>,
}

/// The event of a delivery: the only one of its aggregate.
pub(crate) fn notification_delivered(delivery: &Delivery, delivered_at: DateTime<Utc>) -> DomainEvent {
    let facts = NotificationDelivered {
        delivery_id: delivery.delivery_id,
        registration_id: delivery.registration_id,
        template: delivery.template.clone(),
        locale: delivery.locale,
        delivered_at,
    };
    DomainEvent {
        name: "NotificationDelivered.v1",
        subject: delivery.delivery_id.to_string(),
        sequence: 1,
        data: serde_json::to_value(facts).expect("ids, names and times always make JSON"),
    }
}
