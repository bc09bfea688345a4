//! The capacity of one event: how many seats are taken, who is next.
//!
//! One row per event, and every change of seats or queue writes it: it is where concurrent registrations meet, and what
//! keeps an event from being oversold.

use amends_schemas::ids::EventId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{EventSnapshot, EventStatus};

/// The capacity of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityPolicy {
    /// Which event.
    pub event_id: EventId,
    /// Version of the snapshot.
    pub sequence: u64,
    /// The event as the catalog last told it.
    pub event: EventSnapshot,
    /// Seats held or confirmed.
    pub taken: u32,
    /// Seat numbers given out so far; those given back lie in a pile of their own.
    pub issued: u32,
    /// People in the queue.
    pub waiting: u32,
    /// The next place in the queue; places are never given out twice, so that their order is that of arrival.
    pub next_ticket: u64,
}

/// What a newcomer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A seat.
    Seat(u32),
    /// A place in the queue.
    Queue {
        /// Orders the queue.
        ticket: u64,
        /// Counted from one among those who wait now.
        position: u32,
    },
}

/// What is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A seat, by its number.
    Seat(u32),
    /// A place in the queue, by its ticket.
    Queue(u64),
}

/// Why nobody is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpen {
    /// The catalog has not announced it yet.
    #[error("the event is not public yet")]
    Draft,
    /// Its organiser takes no more registrations.
    #[error("registration for this event is closed")]
    Closed,
    /// It is over.
    #[error("the event is over")]
    Ended,
    /// It was called off.
    #[error("the event was called off")]
    Cancelled,
    /// It has begun.
    #[error("the event has begun")]
    Started,
}

impl CapacityPolicy {
    /// A policy for an event just heard of.
    pub fn new(sequence: u64, event: EventSnapshot) -> Self {
        Self { event_id: event.event_id, sequence, event, taken: 0, issued: 0, waiting: 0, next_ticket: 1 }
    }

    /// Takes in a snapshot unless a newer one is known. Says whether it did.
    ///
    /// Seats already taken stay, even if there are now more of them than the new capacity: nobody loses a seat, and no new
    /// one is given out until there is room again.
    pub fn learn(&mut self, sequence: u64, event: EventSnapshot) -> bool {
        let newer = sequence > self.sequence;
        if newer {
            self.sequence = sequence;
            self.event = event;
        }
        newer
    }

    /// Whether people can register.
    ///
    /// # Errors
    /// [`NotOpen`], which says why not.
    pub fn check_open(&self, now: DateTime<Utc>) -> Result<(), NotOpen> {
        match self.event.status {
            EventStatus::Draft => Err(NotOpen::Draft),
            EventStatus::Closed => Err(NotOpen::Closed),
            EventStatus::Ended => Err(NotOpen::Ended),
            EventStatus::Cancelled => Err(NotOpen::Cancelled),
            EventStatus::Published if self.event.starts_at <= now => Err(NotOpen::Started),
            EventStatus::Published => Ok(()),
        }
    }

    /// Whether a newcomer gets a seat: one is free, and nobody waits for it. A freed seat goes to the head of the queue, never
    /// to a newcomer.
    pub fn has_seat_for_newcomer(&self) -> bool {
        self.taken < self.event.capacity && self.waiting == 0
    }

    /// Admits a newcomer. `lowest_free` is the lowest number on the pile of seats given back.
    pub fn admit(&mut self, lowest_free: Option<u32>) -> Admission {
        if self.has_seat_for_newcomer() {
            self.taken += 1;
            let seat = lowest_free.unwrap_or_else(|| {
                self.issued += 1;
                self.issued
            });
            Admission::Seat(seat)
        } else {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.waiting += 1;
            Admission::Queue { ticket, position: self.waiting }
        }
    }

    /// Takes a place back.
    pub fn free(&mut self, place: Place) {
        match place {
            Place::Seat(_) => self.taken = self.taken.saturating_sub(1),
            Place::Queue(_) => self.waiting = self.waiting.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, snapshot};

    fn policy(capacity: u32) -> CapacityPolicy {
        CapacityPolicy::new(1, EventSnapshot { capacity, ..snapshot() })
    }

    #[test]
    fn seats_first_then_the_queue() {
        for capacity in [0, 1, 10] {
            let mut policy = policy(capacity);
            let admitted: Vec<Admission> = (0..20).map(|_| policy.admit(None)).collect();
            let expected: Vec<Admission> = (1..=20)
                .map(|n| match n <= capacity {
                    true => Admission::Seat(n),
                    false => Admission::Queue { ticket: u64::from(n - capacity), position: n - capacity },
                })
                .collect();
            assert_eq!(admitted, expected, "capacity {capacity}");
            assert_eq!((policy.taken, policy.waiting), (capacity, 20 - capacity));
        }
    }

    #[test]
    fn a_freed_seat_is_not_a_newcomers_while_somebody_waits() {
        let mut policy = policy(1);
        assert_eq!(policy.admit(None), Admission::Seat(1));
        assert_eq!(policy.admit(None), Admission::Queue { ticket: 1, position: 1 });
        policy.free(Place::Seat(1));
        assert_eq!(policy.admit(Some(1)), Admission::Queue { ticket: 2, position: 2 });
        policy.free(Place::Queue(1));
        policy.free(Place::Queue(2));
        assert_eq!(policy.admit(Some(1)), Admission::Seat(1));
    }

    #[test]
    fn seats_given_back_are_given_out_again_before_new_ones() {
        let mut policy = policy(3);
        policy.admit(None);
        policy.admit(None);
        policy.free(Place::Seat(1));
        assert_eq!(policy.admit(Some(1)), Admission::Seat(1));
        assert_eq!(policy.admit(None), Admission::Seat(3));
        assert_eq!(policy.admit(None), Admission::Queue { ticket: 1, position: 1 });
    }

    #[test]
    fn lowering_the_capacity_takes_no_seat_and_gives_none() {
        let mut policy = policy(3);
        for _ in 0..3 {
            policy.admit(None);
        }
        assert!(policy.learn(2, EventSnapshot { capacity: 1, ..snapshot() }));
        policy.free(Place::Seat(3));
        assert_eq!(policy.taken, 2);
        assert!(matches!(policy.admit(Some(3)), Admission::Queue { .. }));
    }

    #[test]
    fn snapshots_may_come_twice_and_in_any_order() {
        let versions: Vec<EventSnapshot> =
            (1..=3).map(|n| EventSnapshot { title: format!("title {n}"), ..snapshot() }).collect();
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [1, 3, 3], [3, 1, 3]] {
            let mut policy = CapacityPolicy::new(order[0] as u64, versions[order[0] - 1].clone());
            for n in &order[1..] {
                policy.learn(*n as u64, versions[n - 1].clone());
            }
            assert_eq!((policy.sequence, policy.event.title.as_str()), (3, "title 3"), "{order:?}");
        }
    }

    #[test]
    fn only_a_published_event_that_has_not_begun_is_open() {
        for (status, now, expected) in [
            (EventStatus::Published, "2030-04-01T00:00:00Z", Ok(())),
            (EventStatus::Published, "2030-05-01T09:00:00Z", Err(NotOpen::Started)),
            (EventStatus::Draft, "2030-04-01T00:00:00Z", Err(NotOpen::Draft)),
            (EventStatus::Closed, "2030-04-01T00:00:00Z", Err(NotOpen::Closed)),
            (EventStatus::Ended, "2030-04-01T00:00:00Z", Err(NotOpen::Ended)),
            (EventStatus::Cancelled, "2030-04-01T00:00:00Z", Err(NotOpen::Cancelled)),
        ] {
            let policy = CapacityPolicy::new(1, EventSnapshot { status, ..snapshot() });
            assert_eq!(policy.check_open(at(now)), expected, "{status:?} at {now}");
        }
    }
}
