//! Limits of contracts, shared by all sagas: an attempt of a limited contract waits here for its turn.
//!
//! A process has one gate per limited contract, which all its partitions share. Of a contract's limit it has the share of the
//! partitions it owns, so that the shares of all orchestrators together are the limit. A process never has less than one place, for
//! its sagas would wait for ever: a `concurrency` below the number of orchestrators therefore lets one through in each of them.
//!
//! After a takeover nobody is let through for a while: a process that starts takes its partitions over one by one, and each first
//! counts what it has in flight. What another process has in flight is not called back when a partition leaves it: until that is
//! answered there may be more in flight than the limit.

mod line;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_core::definition::{Definition, Step};
use amends_core::state::{Phase, SagaState};
use amends_schemas::contract::{ContractLimits, ContractName};
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use self::line::{Gate, Share, Wanted};
use crate::request::Internal;

/// The gates of a process.
#[derive(Debug)]
pub(crate) struct Gates {
    partition_count: PartitionCount,
    /// How long nobody is let through after a takeover.
    settling: Duration,
    inner: Mutex<Inner>,
    /// A gate is to be looked at sooner than planned.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    gates: HashMap<ContractName, (ContractLimits, Gate)>,
    members: BTreeMap<PartitionId, (u64, mpsc::UnboundedSender<Internal>)>,
    joined: u64,
    /// When a rate lets the next one through.
    next: Option<Instant>,
    /// Until then nobody is let through: partitions are being taken over.
    settled_at: Option<Instant>,
}

/// A partition's part in the gates, for as long as it is owned.
#[derive(Debug)]
pub(crate) struct Membership {
    gates: Arc<Gates>,
    partition: PartitionId,
    joined: u64,
}

impl Gates {
    pub(crate) fn new(partition_count: PartitionCount, settling: Duration) -> Self {
        Self { partition_count, settling, inner: Mutex::default(), sooner: Notify::new() }
    }

    /// Takes part on behalf of a partition that is owned from now on. Turns are told through `internal`.
    pub(crate) fn join(
        self: &Arc<Self>,
        partition: PartitionId,
        internal: mpsc::UnboundedSender<Internal>,
    ) -> Membership {
        let mut inner = self.inner();
        inner.joined += 1;
        let joined = inner.joined;
        inner.members.insert(partition, (joined, internal));
        inner.settled_at = Some(Instant::now() + self.settling);
        self.share_out(&mut inner);
        Membership { gates: Arc::clone(self), partition, joined }
    }

    /// Lets through those whom only the rate kept waiting, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let next = self.inner().next;
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    let mut inner = self.inner();
                    inner.next = None;
                    let contracts: Vec<ContractName> = inner.gates.keys().cloned().collect();
                    contracts.iter().for_each(|contract| self.admit(&mut inner, contract));
                }
                () = self.sooner.notified() => {}
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, inner: &mut Inner, contract: &ContractName) {
        let Some((_, gate)) = inner.gates.get_mut(contract) else { return };
        if let Some(settled_at) = inner.settled_at.filter(|at| *at > Instant::now()) {
            self.look_at(inner, settled_at);
            return;
        }
        let (admitted, next) = gate.admit(Instant::now());
        for (saga_id, step) in admitted {
            if let Some((_, internal)) = inner.members.get(&saga_id.partition(self.partition_count)) {
                // Gone only when the partition is lost, and then it leaves with all it holds.
                let _ = internal.send(Internal::Admitted { saga_id, step });
            }
        }
        if let Some(next) = next {
            self.look_at(inner, next);
        }
    }

    /// Has all gates looked at no later than then.
    fn look_at(&self, inner: &mut Inner, at: Instant) {
        if inner.next.is_none_or(|planned| at < planned) {
            inner.next = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Gives every gate the share of the partitions that are owned now.
    fn share_out(&self, inner: &mut Inner) {
        let owned: Vec<PartitionId> = inner.members.keys().copied().collect();
        let now = Instant::now();
        for (contract, (limits, gate)) in &mut inner.gates {
            gate.set_share(share_of(contract, *limits, &owned, self.partition_count), now);
        }
        let contracts: Vec<ContractName> = inner.gates.keys().cloned().collect();
        contracts.iter().for_each(|contract| self.admit(inner, contract));
    }
}

impl Membership {
    /// Takes in how a saga's limited steps stand now.
    pub(crate) fn tell(&self, definition: &Definition, state: &SagaState) {
        self.tell_some(definition, state, |_| true);
    }

    /// Only those that are with the workers: after a takeover they are counted before anybody is let through.
    pub(crate) fn tell_places(&self, definition: &Definition, state: &SagaState) {
        self.tell_some(definition, state, |wanted| matches!(wanted, Wanted::Place { .. }));
    }

    /// A saga was told of a step's turn and has decided; one that did not take it gives it back.
    pub(crate) fn decided(&self, definition: &Definition, saga_id: SagaId, step: usize) {
        let Some(call) = definition.steps.get(step).and_then(Step::call) else { return };
        let mut inner = self.gates.inner();
        if let Some((_, gate)) = inner.gates.get_mut(&call.name) {
            gate.decided((saga_id, step));
            self.gates.admit(&mut inner, &call.name);
        }
    }

    fn tell_some(&self, definition: &Definition, state: &SagaState, which: impl Fn(&Wanted) -> bool) {
        let mut inner = self.gates.inner();
        for (index, (step, now)) in definition.steps.iter().zip(&state.steps).enumerate() {
            let Some(call) = step.call() else { continue };
            let Some(limits) = call.contract.limits else { continue };
            let wanted = wanted(state, &now.phase);
            if !which(&wanted) {
                continue;
            }
            if !inner.gates.contains_key(&call.name) {
                let owned: Vec<PartitionId> = inner.members.keys().copied().collect();
                let share = share_of(&call.name, limits, &owned, self.gates.partition_count);
                inner.gates.insert(call.name.clone(), (limits, Gate::new(share, Instant::now())));
            }
            if let Some((_, gate)) = inner.gates.get_mut(&call.name) {
                gate.tell((state.saga_id, index), wanted);
                self.gates.admit(&mut inner, &call.name);
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.gates.inner();
        if inner.members.get(&self.partition).is_none_or(|(joined, _)| *joined != self.joined) {
            return;
        }
        inner.members.remove(&self.partition);
        let count = self.gates.partition_count;
        for (_, gate) in inner.gates.values_mut() {
            gate.forget(|saga_id| saga_id.partition(count) == self.partition);
        }
        self.gates.share_out(&mut inner);
    }
}

/// What a step wants of its contract's gate.
fn wanted(state: &SagaState, phase: &Phase) -> Wanted {
    let definition = || Arc::from(&*state.definition.name);
    match phase {
        _ if state.status.is_final() => Wanted::Nothing,
        // While it is paused others go before it; resumed it waits again.
        Phase::Queued { .. } if state.paused => Wanted::Nothing,
        Phase::Queued { .. } => Wanted::Turn { priority: state.priority, definition: definition() },
        Phase::InFlight { .. } => Wanted::Place { definition: definition() },
        Phase::Pending
        | Phase::Skipped
        | Phase::Waiting { .. }
        | Phase::Children { .. }
        | Phase::Interrupted
        | Phase::BackingOff { .. }
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Undone
        | Phase::Waived
        | Phase::Stuck { .. } => Wanted::Nothing,
    }
}

/// What the owner of these partitions may let through of a contract's limits. The partitions' parts add up to the limit.
fn share_of(contract: &ContractName, limits: ContractLimits, owned: &[PartitionId], count: PartitionCount) -> Share {
    let partitions = u32::from(count.get());
    // Which partitions have one more differs from contract to contract, so that one of them is not favoured by all.
    let first = contract.to_string().bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % partitions);
    let part = |limit: u32, partition: &PartitionId| {
        let place = (u32::from(partition.0) + first) % partitions;
        limit / partitions + u32::from(place < limit % partitions)
    };
    Share {
        concurrency: limits.concurrency.map(|limit| owned.iter().map(|owned| part(limit, owned)).sum::<u32>().max(1)),
        per_second: limits.per_second.map(|limit| f64::from(limit) * owned.len() as f64 / f64::from(partitions)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit_wherever_partitions_are() {
        let count = PartitionCount::new(8).expect("a count");
        let partitions: Vec<PartitionId> = count.iter().collect();
        for contract in ["payment.capture@1", "mail.send@2"] {
            let contract: ContractName = contract.parse().expect("a contract");
            for limit in [3, 8, 50, 1_001] {
                let limits = ContractLimits { concurrency: Some(limit), per_second: Some(limit) };
                let all = share_of(&contract, limits, &partitions, count);
                assert_eq!(all, Share { concurrency: Some(limit), per_second: Some(f64::from(limit)) });
                let (left, right) = partitions.split_at(3);
                let (left, right) =
                    (share_of(&contract, limits, left, count), share_of(&contract, limits, right, count));
                let sum = left.concurrency.zip(right.concurrency).map(|(left, right)| left + right);
                // A process that has none of a few places has one all the same.
                assert!(sum == Some(limit) || (limit < 8 && sum == Some(limit + 1)), "{limit}: {sum:?}");
            }
        }
    }
}
