//! Identifiers: a newtype for each, written as plain UUIDs on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares a UUID newtype with the same small set of abilities.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later (UUID version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The same id for the same `name` under the same `parent`, for ever (UUID version 5).
            pub fn derive(parent: Uuid, name: &str) -> Self {
                Self(Uuid::new_v5(&parent, name.as_bytes()))
            }

            /// The bare UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One run of a definition.
    SagaId
);
uuid_id!(
    /// One verb over many sagas.
    BulkId
);
uuid_id!(
    /// One event of the catalog (a conference, a concert), not a domain event.
    EventId
);
uuid_id!(
    /// One person's registration for one event.
    RegistrationId
);
uuid_id!(
    /// One payment intent.
    PaymentId
);
uuid_id!(
    /// One invoice.
    InvoiceId
);
uuid_id!(
    /// One credit note.
    CreditNoteId
);
uuid_id!(
    /// One message to one person.
    DeliveryId
);

impl RegistrationId {
    /// The saga that carries this registration; one each, so that either id leads to the other's state.
    pub fn saga(self) -> SagaId {
        SagaId::derive(self.0, "registration")
    }
}

impl SagaId {
    /// The forward saga that a cancellation of this one starts once its pivot is passed; one each, so that cancelling
    /// twice starts it once.
    pub fn forward_cancellation(self) -> SagaId {
        SagaId::derive(self.0, "cancellation")
    }

    /// A child of this saga: the same for the same step, child and rounds, so that starting it twice starts one.
    pub fn child(self, step: &str, step_round: u32, child: u32, child_round: u32) -> SagaId {
        SagaId::derive(self.0, &format!("child/{step}~{step_round}/{child}~{child_round}"))
    }

    /// The partition this saga belongs to. Uses the low 64 bits, which are random in every UUID version we make.
    pub fn partition(self, partition_count: PartitionCount) -> PartitionId {
        let (_, low) = self.0.as_u64_pair();
        PartitionId((low % u64::from(partition_count.0)) as u16)
    }
}

/// A share of all sagas with one writer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many partitions a deployment has: at least one, fixed at its first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// Most partitions of one deployment: each holds a subscription, a loop and a lease.
    pub const MAX: u16 = 256;

    /// `None` when `count` is zero or above [`Self::MAX`].
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 || count > Self::MAX { None } else { Some(Self(count)) }
    }

    /// The bare number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Every partition, in order.
    pub fn iter(self) -> impl Iterator<Item = PartitionId> {
        (0..self.0).map(PartitionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saga_always_belongs_to_the_same_partition() {
        let id: SagaId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid");
        let count = PartitionCount::new(8).expect("in range");
        assert_eq!(id.partition(count), PartitionId(2));
    }

    #[test]
    fn derived_ids_are_stable_and_distinct() {
        let registration: RegistrationId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid");
        assert_eq!(registration.saga(), registration.saga());
        assert_ne!(registration.saga(), registration.saga().forward_cancellation());
    }

    #[test]
    fn zero_partitions_are_refused() {
        assert!(PartitionCount::new(0).is_none());
        assert!(PartitionCount::new(257).is_none());
    }
}
