//! A saga's place in an order of lists.

use std::fmt::{self, Display};

use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Sorts later times first, and sagas of the same microsecond by id, so that the order is total. Of the time at which a saga was accepted
/// it never changes. Written in hexadecimal it sorts alike: that is how it stands in columns and cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    time: u64,
    id: u128,
}

/// Digits of a time.
const TIME_DIGITS: usize = 16;

impl Rank {
    /// Bytes of one.
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn new(at: DateTime<Utc>, saga_id: SagaId) -> Self {
        Self { time: time_of(at), id: !saga_id.uuid().as_u128() }
    }

    /// Whose it is.
    pub(crate) fn saga_id(self) -> SagaId {
        SagaId(Uuid::from_u128(!self.id))
    }

    /// What sorts first in it.
    pub(crate) fn time(self) -> u64 {
        self.time
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.time.to_be_bytes());
        bytes[8..].copy_from_slice(&self.id.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
        Self { time: u64::try_from(number(&bytes[..8])).expect("eight bytes"), id: number(&bytes[8..]) }
    }
}

impl Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:032x}", self.time, self.id)
    }
}

/// What the ranks of a microsecond begin with.
pub(crate) fn rank_of_time(at: DateTime<Utc>) -> String {
    format!("{:016x}", time_of(at))
}

/// The time of a rank, or of what some begin with.
pub(crate) fn time_of_rank(rank: &str) -> Option<u64> {
    u64::from_str_radix(rank.get(..TIME_DIGITS)?, 16).ok()
}

fn time_of(at: DateTime<Utc>) -> u64 {
    // Flipping the sign bit makes the order of the bits the order of time; inverting them turns it round.
    !(at.timestamp_micros().cast_unsigned() ^ (1 << 63))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn later_sagas_rank_first() {
        let (low, high) = (SagaId(Uuid::from_u128(1)), SagaId(Uuid::from_u128(2)));
        let at = |micros| Utc.timestamp_micros(micros).unwrap();
        for (first, second) in [
            (Rank::new(at(1_000_001), low), Rank::new(at(1_000_000), high)),
            (Rank::new(at(1_000_000), high), Rank::new(at(1_000_000), low)),
            (Rank::new(at(0), low), Rank::new(at(-1), low)),
        ] {
            assert!(first < second);
            assert!(first.to_string() < second.to_string());
            assert!(first.to_bytes() < second.to_bytes());
        }
    }

    #[test]
    fn a_rank_can_be_read_from_what_it_is_written_as() {
        let at = Utc.timestamp_micros(1_790_000_000_123_456).unwrap();
        let saga_id = SagaId(Uuid::from_u128(0x0193_a1de_7d41_7cc1_9b5e_0000_0000_0001));
        let rank = Rank::new(at, saga_id);
        assert_eq!(Rank::from_bytes(rank.to_bytes()), rank);
        assert_eq!(rank.saga_id(), saga_id);
        assert_eq!(rank.to_string().len(), 48);
        assert_eq!(time_of_rank(&rank.to_string()), Some(rank.time()));
        assert_eq!(time_of_rank(&format!("{}g", rank_of_time(at))), Some(rank.time()));
        assert_eq!((time_of_rank(""), time_of_rank("g")), (None, None));
    }
}
