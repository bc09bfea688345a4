//! One contract's gate: who holds a place, who waits for one, and who is next. Pure: the time is passed in.
//!
//! Next is, of those with the highest priority, the definition that has the fewest attempts in flight (of equals the one whose turn
//! was longest ago), and of that definition whoever came first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::SagaId;
use amends_schemas::saga::Priority;
use tokio::time::Instant;

/// How much of a second's commands may be sent at once after a lull.
const BURST_SECONDS: f64 = 0.1;

/// An attempt: a saga's step has at most one.
pub(super) type Key = (SagaId, usize);

/// What this process may let through.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    /// Attempts in flight at once.
    pub(super) concurrency: Option<u32>,
    /// Attempts in a second.
    pub(super) per_second: Option<f64>,
}

/// How an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It waits for its turn.
    Turn { priority: Priority, definition: Arc<str> },
    /// It is with the workers.
    Place { definition: Arc<str> },
    /// Neither.
    Nothing,
}

#[derive(Debug)]
struct Place {
    definition: Arc<str>,
    /// Whether the attempt is known to be with the workers; before that its saga has only been told of its turn.
    taken: bool,
}

/// The attempts of one definition that wait, of one priority.
type Line = BTreeMap<u64, Key>;

/// A gate.
#[derive(Debug)]
pub(super) struct Gate {
    share: Share,
    places: HashMap<Key, Place>,
    /// How many places each definition holds, and when its turn last was.
    definitions: HashMap<Arc<str>, (usize, u64)>,
    waiting: BTreeMap<Reverse<Priority>, BTreeMap<Arc<str>, Line>>,
    tickets: HashMap<Key, (Priority, Arc<str>, u64)>,
    ticket: u64,
    turn: u64,
    /// Attempts that may be sent now as far as the rate goes.
    tokens: f64,
    filled_at: Instant,
}

impl Gate {
    pub(super) fn new(share: Share, now: Instant) -> Self {
        Self {
            share,
            places: HashMap::new(),
            definitions: HashMap::new(),
            waiting: BTreeMap::new(),
            tickets: HashMap::new(),
            ticket: 0,
            turn: 0,
            tokens: burst(share.per_second.unwrap_or_default()),
            filled_at: now,
        }
    }

    pub(super) fn set_share(&mut self, share: Share, now: Instant) {
        self.fill(now);
        self.share = share;
        self.tokens = self.tokens.min(burst(share.per_second.unwrap_or_default()));
    }

    /// Takes in how an attempt stands. The same again changes nothing.
    pub(super) fn tell(&mut self, key: Key, wanted: Wanted) {
        match wanted {
            Wanted::Turn { priority, definition } => match self.places.get(&key) {
                // It has been told of its turn and has not decided yet.
                Some(Place { taken: false, .. }) => {}
                Some(Place { taken: true, .. }) => {
                    self.leave(key);
                    self.wait(key, priority, definition);
                }
                None => self.wait(key, priority, definition),
            },
            Wanted::Place { definition } => {
                self.stop_waiting(key);
                self.hold(key, definition, true);
            }
            Wanted::Nothing => {
                self.stop_waiting(key);
                self.leave(key);
            }
        }
    }

    /// A saga has been told of its turn and did not take it, or took it.
    pub(super) fn decided(&mut self, key: Key) {
        if self.places.get(&key).is_some_and(|place| !place.taken) {
            self.leave(key);
        }
    }

    /// Forgets everything about these sagas.
    pub(super) fn forget(&mut self, whose: impl Fn(SagaId) -> bool) {
        let keys: Vec<Key> = self.places.keys().chain(self.tickets.keys()).copied().collect();
        for key in keys.into_iter().filter(|key| whose(key.0)) {
            self.tell(key, Wanted::Nothing);
        }
    }

    /// Lets through whom it can. With them comes when more can be, if only the rate is in the way.
    pub(super) fn admit(&mut self, now: Instant) -> (Vec<Key>, Option<Instant>) {
        let mut admitted = Vec::new();
        self.fill(now);
        while !self.tickets.is_empty() {
            if self.share.concurrency.is_some_and(|most| self.places.len() >= most as usize) {
                return (admitted, None);
            }
            if let Some(rate) = self.share.per_second {
                if self.tokens < 1.0 {
                    // A share without any partition sends nothing until it has one.
                    let wait = (rate > 0.0).then(|| Duration::from_secs_f64((1.0 - self.tokens) / rate));
                    return (admitted, wait.map(|wait| now + wait));
                }
                self.tokens -= 1.0;
            }
            let Some((key, definition)) = self.next() else { break };
            self.stop_waiting(key);
            self.turn += 1;
            let turn = self.turn;
            self.hold(key, definition.clone(), false);
            if let Some((_, last)) = self.definitions.get_mut(&definition) {
                *last = turn;
            }
            admitted.push(key);
        }
        (admitted, None)
    }

    fn next(&self) -> Option<(Key, Arc<str>)> {
        let lines = self.waiting.values().next()?;
        let standing = |definition: &Arc<str>| self.definitions.get(definition).copied().unwrap_or_default();
        let (definition, line) = lines.iter().min_by_key(|(definition, _)| standing(definition))?;
        Some((*line.values().next()?, Arc::clone(definition)))
    }

    fn wait(&mut self, key: Key, priority: Priority, definition: Arc<str>) {
        if self.tickets.contains_key(&key) {
            return;
        }
        self.ticket += 1;
        let lines = self.waiting.entry(Reverse(priority)).or_default();
        lines.entry(Arc::clone(&definition)).or_default().insert(self.ticket, key);
        self.tickets.insert(key, (priority, definition, self.ticket));
    }

    fn stop_waiting(&mut self, key: Key) {
        let Some((priority, definition, ticket)) = self.tickets.remove(&key) else { return };
        let Some(lines) = self.waiting.get_mut(&Reverse(priority)) else { return };
        if let Some(line) = lines.get_mut(&definition) {
            line.remove(&ticket);
            if line.is_empty() {
                lines.remove(&definition);
            }
        }
        if lines.is_empty() {
            self.waiting.remove(&Reverse(priority));
        }
    }

    fn hold(&mut self, key: Key, definition: Arc<str>, taken: bool) {
        match self.places.get_mut(&key) {
            Some(place) => place.taken |= taken,
            None => {
                self.definitions.entry(Arc::clone(&definition)).or_default().0 += 1;
                self.places.insert(key, Place { definition, taken });
            }
        }
    }

    fn leave(&mut self, key: Key) {
        let Some(place) = self.places.remove(&key) else { return };
        if let Some((held, _)) = self.definitions.get_mut(&place.definition) {
            *held = held.saturating_sub(1);
        }
    }

    fn fill(&mut self, now: Instant) {
        if let Some(rate) = self.share.per_second {
            let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
            self.tokens = (self.tokens + passed * rate).min(burst(rate));
        }
        self.filled_at = now;
    }
}

/// At least one, or nobody would ever be let through.
fn burst(rate: f64) -> f64 {
    (rate * BURST_SECONDS).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(priority: u8, definition: &str) -> Wanted {
        Wanted::Turn { priority: Priority::new(priority).expect("a priority"), definition: definition.into() }
    }

    fn gate(concurrency: Option<u32>, per_second: Option<f64>) -> (Gate, Instant) {
        let now = Instant::now();
        (Gate::new(Share { concurrency, per_second }, now), now)
    }

    fn key() -> Key {
        (SagaId::generate(), 0)
    }

    #[test]
    fn no_more_than_its_places_are_let_through_and_each_that_leaves_makes_room() {
        let (mut gate, now) = gate(Some(2), None);
        let keys: Vec<Key> = (0..4).map(|_| key()).collect();
        for key in &keys {
            gate.tell(*key, turn(5, "a"));
            gate.tell(*key, turn(5, "a"));
        }
        assert_eq!(gate.admit(now), (keys[..2].to_vec(), None));
        gate.tell(keys[0], Wanted::Place { definition: "a".into() });
        gate.decided(keys[0]);
        assert_eq!(gate.admit(now).0, [], "it holds its place");
        gate.decided(keys[1]);
        assert_eq!(gate.admit(now).0, [keys[2]], "who does not take his turn gives it back");
        gate.tell(keys[0], Wanted::Nothing);
        assert_eq!(gate.admit(now).0, [keys[3]]);
        // After a restart what is in flight counts, though it is more than may be.
        for _ in 0..3 {
            gate.tell(key(), Wanted::Place { definition: "a".into() });
        }
        gate.tell(keys[0], turn(5, "a"));
        assert_eq!(gate.admit(now).0, []);
        gate.forget(|saga_id| saga_id != keys[0].0);
        assert_eq!(gate.admit(now).0, [keys[0]]);
    }

    #[test]
    fn priority_comes_first_then_the_definition_with_the_fewest_in_flight() {
        let (mut gate, now) = gate(Some(1), None);
        let (mut many, mut few) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            many.push(key());
            gate.tell(many[many.len() - 1], turn(5, "many"));
        }
        for _ in 0..2 {
            few.push(key());
            gate.tell(few[few.len() - 1], turn(5, "few"));
        }
        let urgent = key();
        gate.tell(urgent, turn(9, "many"));
        let mut order = Vec::new();
        for _ in 0..7 {
            let (admitted, _) = gate.admit(now);
            assert_eq!(admitted.len(), 1);
            gate.tell(admitted[0], Wanted::Nothing);
            order.push(admitted[0]);
        }
        assert_eq!(order, [urgent, few[0], many[0], few[1], many[1], many[2], many[3]]);
        // With more places they are shared, whoever came first.
        gate.set_share(Share { concurrency: Some(4), per_second: None }, now);
        let keys: Vec<Key> = (0..10).map(|_| key()).collect();
        keys[..8].iter().for_each(|key| gate.tell(*key, turn(5, "many")));
        keys[8..].iter().for_each(|key| gate.tell(*key, turn(5, "few")));
        let (admitted, _) = gate.admit(now);
        assert_eq!(admitted.iter().filter(|key| keys[8..].contains(key)).count(), 2);
    }

    #[test]
    fn a_rate_lets_through_so_many_and_says_when_there_is_more() {
        let (mut gate, start) = gate(None, Some(20.0));
        let keys: Vec<Key> = (0..100).map(|_| key()).collect();
        keys.iter().for_each(|key| gate.tell(*key, turn(5, "a")));
        let (mut now, mut count) = (start, 0);
        while now < start + Duration::from_secs(2) {
            let (admitted, next) = gate.admit(now);
            count += admitted.len();
            now = next.expect("more wait");
            assert!(now > start);
        }
        assert!((41..=43).contains(&count), "{count}");
        gate.set_share(Share { concurrency: None, per_second: Some(0.0) }, now);
        gate.admit(now);
        assert_eq!(gate.admit(now + Duration::from_secs(60)), (Vec::new(), None));
    }
}
