//! The sagas that a step has started, as they stand. A hundred thousand of them fit: those that have ended are kept as ranges.

use std::collections::{BTreeMap, BTreeSet};

use amends_schemas::command::StepError;
use amends_schemas::family::CHILDREN_SHOWN_MAX;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The children of one step. Each is at one place: not started (`next` and beyond, or `again`), at work, completed, failed, in doubt or
/// undone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChildrenState {
    /// How many there are.
    pub total: u32,
    /// The first that has not been started.
    pub next: u32,
    /// At work.
    pub running: BTreeSet<u32>,
    /// Came to their ends well, and have not been undone.
    pub completed: Ranges,
    /// Came to their ends without having happened.
    pub failed: Ranges,
    /// The first that failed, with why; at most [`CHILDREN_SHOWN_MAX`].
    pub failures: BTreeMap<u32, StepError>,
    /// Ended by hand, as they stood: what they have done stands, and nobody knows what that is until a person says so.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    pub in_doubt: Ranges,
    /// Came to their ends without having happened or were undone, and are to be started anew.
    pub again: Ranges,
    /// Whether no more are started.
    pub halted: bool,
    /// Whether those at work are being cancelled.
    pub cancelled: bool,
    /// Completed, and being cancelled.
    pub undoing: BTreeSet<u32>,
    /// Completed, and cancelled since.
    pub undone: Ranges,
    /// Completed, and could not be cancelled; at most [`CHILDREN_SHOWN_MAX`] before a person is asked.
    pub unable: BTreeMap<u32, StepError>,
    /// Of those: whose cancelling saga has come to its end without success. There is but one of each, so to ask again is no use.
    pub given_up: BTreeSet<u32>,
    /// What an only child came to.
    pub output: Option<Value>,
    /// Those that were started anew, those that were so a second time, and so forth.
    pub rounds: Vec<Ranges>,
}

impl ChildrenState {
    /// Children of which none has been started.
    pub fn new(total: u32) -> Self {
        Self { total, ..Self::default() }
    }

    /// The next to start, so that at most `concurrency` are at work.
    pub(crate) fn to_start(&self, concurrency: u32) -> Vec<u32> {
        let room = (concurrency as usize).saturating_sub(self.running.len());
        if self.halted { Vec::new() } else { self.again.iter().chain(self.next..self.total).take(room).collect() }
    }

    /// The next to cancel, the last first, so that at most `concurrency` are being cancelled.
    pub(crate) fn to_undo(&self, concurrency: u32) -> Vec<u32> {
        if self.unable.len() >= CHILDREN_SHOWN_MAX {
            return Vec::new();
        }
        let room = (concurrency as usize).saturating_sub(self.undoing.len());
        let free = |child: &u32| !self.undoing.contains(child) && !self.unable.contains_key(child);
        self.completed.iter_backwards().filter(free).take(room).collect()
    }

    /// Whether none is at work, and none is to be started.
    pub(crate) fn all_ended(&self) -> bool {
        self.running.is_empty() && (self.halted || (self.next >= self.total && self.again.is_empty()))
    }

    /// Which start of this child it is, from zero.
    pub fn round(&self, child: u32) -> u32 {
        let rounds = self.rounds.iter().take_while(|started| started.contains(child)).count();
        u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// How many have not been started, or are to be started anew.
    pub fn waiting(&self) -> u32 {
        self.total.saturating_sub(self.next).saturating_add(self.again.count())
    }

    /// Whether this one may still be undone: it has happened, or may yet.
    pub(crate) fn undoable(&self, child: u32) -> bool {
        let may_yet = self.cancelled && self.running.contains(&child);
        (self.completed.contains(child) || may_yet) && !self.undone.contains(child)
    }

    pub(crate) fn dispatched(&mut self, children: &[u32]) {
        for &child in children {
            self.running.insert(child);
            self.again.remove(child);
            self.next = self.next.max(child.saturating_add(1));
        }
    }

    pub(crate) fn ended(&mut self, child: u32, error: Option<&StepError>, in_doubt: bool) {
        self.running.remove(&child);
        self.in_doubt.remove(child);
        match error {
            Some(_) if in_doubt => {
                self.undone.remove(child);
                self.in_doubt.insert(child);
            }
            // Word that it has been cancelled since may come first.
            None if self.undone.contains(child) => {}
            None => self.completed.insert(child),
            Some(error) => {
                self.undone.remove(child);
                self.failed.insert(child);
                if self.failures.len() < CHILDREN_SHOWN_MAX {
                    self.failures.insert(child, error.clone());
                }
            }
        }
    }

    pub(crate) fn undo_ended(&mut self, child: u32, error: Option<&StepError>, refused: bool) {
        self.undoing.remove(&child);
        match error {
            None => {
                self.completed.remove(child);
                self.undone.insert(child);
                self.unable.remove(&child);
                self.given_up.remove(&child);
            }
            Some(error) => {
                self.unable.insert(child, error.clone());
                if !refused {
                    self.given_up.insert(child);
                }
            }
        }
    }

    /// Those that could not be cancelled are asked to once more, where that may be answered otherwise.
    pub(crate) fn renew_unable(&mut self) {
        let given_up = &self.given_up;
        self.unable.retain(|child, _| given_up.contains(child));
    }

    /// Those that failed or were undone are to be started anew.
    pub(crate) fn renew_failed(&mut self) {
        let (failed, undone) = (std::mem::take(&mut self.failed), std::mem::take(&mut self.undone));
        for child in failed.iter().chain(undone.iter()) {
            self.again.insert(child);
            let round = self.round(child) as usize;
            if round == self.rounds.len() {
                self.rounds.push(Ranges::default());
            }
            if let Some(started) = self.rounds.get_mut(round) {
                started.insert(child);
            }
        }
        self.failures.clear();
        self.halted = false;
        self.cancelled = false;
    }
}

/// A set of numbers, kept as ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges {
    /// First to last, both within; no two touch.
    ranges: BTreeMap<u32, u32>,
}

impl Ranges {
    /// How many numbers there are.
    pub fn count(&self) -> u32 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether this number is there.
    pub fn contains(&self, number: u32) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// All, the last first.
    pub fn iter_backwards(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().rev().flat_map(|(first, last)| (*first..=*last).rev())
    }

    /// Adds one.
    pub fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        let (mut first, mut last) = (number, number);
        if let Some((&before, &end)) = self.ranges.range(..number).next_back()
            && end.checked_add(1) == Some(number)
        {
            first = before;
        }
        if let Some(after) = number.checked_add(1)
            && let Some(end) = self.ranges.remove(&after)
        {
            last = end;
        }
        self.ranges.insert(first, last);
    }

    /// Takes one away.
    pub fn remove(&mut self, number: u32) {
        let Some((&first, &last)) = self.ranges.range(..=number).next_back() else { return };
        if last < number {
            return;
        }
        self.ranges.remove(&first);
        if first < number {
            self.ranges.insert(first, number - 1);
        }
        if number < last {
            self.ranges.insert(number + 1, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_a_set_would() {
        let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
        // Every number of 0..50, in an order that meets all cases, added and half of them taken away again.
        for step in 0..50u32 {
            let number = step * 37 % 50;
            ranges.insert(number);
            ranges.insert(number);
            set.insert(number);
            if step % 2 == 1 {
                let gone = step * 11 % 50;
                ranges.remove(gone);
                set.remove(&gone);
            }
            assert_eq!(ranges.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            assert_eq!(ranges.iter_backwards().collect::<Vec<_>>(), set.iter().rev().copied().collect::<Vec<_>>());
            assert_eq!(ranges.count() as usize, set.len());
            assert!((0..60).all(|number| ranges.contains(number) == set.contains(&number)));
        }
        ranges.insert(u32::MAX);
        ranges.insert(u32::MAX - 1);
        assert!(ranges.contains(u32::MAX));
    }

    #[test]
    fn those_that_failed_are_started_anew_each_time_in_another_round() {
        let (mut children, error) = (ChildrenState::new(4), StepError::new("no", "No."));
        let rounds = |children: &ChildrenState| (0..4).map(|child| children.round(child)).collect::<Vec<_>>();
        children.dispatched(&[0, 1, 2, 3]);
        for (child, error) in [(0, None), (1, Some(&error)), (2, None), (3, Some(&error))] {
            children.ended(child, error, false);
        }
        children.renew_failed();
        assert_eq!(
            (children.to_start(1), children.to_start(9), rounds(&children)),
            (vec![1], vec![1, 3], vec![0, 1, 0, 1])
        );
        children.dispatched(&[1, 3]);
        children.ended(1, None, false);
        children.ended(3, Some(&error), false);
        assert!(children.all_ended());
        children.renew_failed();
        assert!(!children.all_ended());
        assert_eq!((children.to_start(9), rounds(&children)), (vec![3], vec![0, 1, 0, 2]));
    }

    #[test]
    fn a_hundred_thousand_that_end_in_order_are_one_range() {
        let mut children = ChildrenState::new(100_000);
        while !children.all_ended() {
            let next = children.to_start(10);
            children.dispatched(&next);
            let ended: Vec<u32> = children.running.iter().copied().collect();
            ended.into_iter().for_each(|child| children.ended(child, None, false));
        }
        assert_eq!((children.completed.count(), children.completed.ranges.len()), (100_000, 1));
        assert_eq!(children.to_undo(3), [99_999, 99_998, 99_997]);
    }
}
