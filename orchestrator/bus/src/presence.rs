//! Who serves which contract, looked at every few seconds and remembered: so that people can be told since when nobody does.
//!
//! A contract counts as served when a worker that answers the service ping names it, when its consumer is pulled from, and while a worker
//! says of a command within its ack wait that it is at work. Nothing is kept: an orchestrator knows what it has seen since it started, and
//! says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_core::surroundings::{Surroundings, Unserved};
use amends_core::view::contracts_called;
use amends_engine::ports::Presence;
use amends_nats::queues::Queue;
use amends_nats::{Nats, NatsError};
use amends_schemas::contract::ContractName;
use amends_schemas::presence::{ContractPresence, INSTANCES_SHOWN_MAX, ServicePing, WorkerInstance, WorkersView};
use amends_schemas::topology::ACK_WAIT;
use chrono::{DateTime, Utc};

/// Between two looks. With [`WINDOW`] a look every two seconds: a person who waits for the sentence to change does not wait long, and a
/// look costs a ping and two small requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long answers to the ping are heard. Workers answer within milliseconds; one that is starved of its processor takes longer.
const WINDOW: Duration = Duration::from_secs(1);

/// A worker, or a contract, that was not seen in so many looks one after the other is not there: one answer may get lost or be late.
const MISSES: u64 = 2;

/// Most contracts remembered. Names come from outside: beyond it further ones are left out, and count as never seen.
const CONTRACTS_MAX: usize = 4096;

/// Watches the workers of a deployment for one orchestrator.
#[derive(Debug, Default)]
pub struct WorkerWatch {
    picture: Mutex<Picture>,
    around: Mutex<Arc<Surroundings>>,
}

impl WorkerWatch {
    /// Looks for ever. A look that fails says nothing about anybody.
    pub async fn run(self: Arc<Self>, nats: Nats) {
        loop {
            let began = Utc::now();
            match look(&nats).await {
                Ok((services, queues)) => self.take(&services, &queues, began),
                Err(error) => tracing::debug!(%error, "the workers cannot be looked for"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn take(&self, services: &[ServicePing], queues: &BTreeMap<ContractName, Queue>, at: DateTime<Utc>) {
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.take(services, queues, at);
        let now = picture.surroundings();
        drop(picture);
        let mut around = self.around.lock().unwrap_or_else(PoisonError::into_inner);
        if **around != now {
            *around = Arc::new(now);
        }
    }

    /// As people read it; contracts that the definitions of `library` call are named even when nobody has served them.
    pub fn view(&self, library: &DefinitionLibrary) -> WorkersView {
        let called = library.iter().flat_map(|definition| contracts_called(definition)).cloned();
        self.picture.lock().unwrap_or_else(PoisonError::into_inner).view(called)
    }
}

impl Presence for WorkerWatch {
    fn surroundings(&self) -> Arc<Surroundings> {
        Arc::clone(&self.around.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn look(nats: &Nats) -> Result<(Vec<ServicePing>, BTreeMap<ContractName, Queue>), NatsError> {
    let (services, queues) = tokio::join!(nats.services(WINDOW), nats.queues());
    Ok((services?, queues?))
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Picture {
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    looks: u64,
    contracts: BTreeMap<ContractName, Seen>,
    processes: BTreeMap<String, Process>,
    heard: BTreeMap<ContractName, Heard>,
}

/// When workers of a contract were last heard through its consumer: they took a command, or said that they are at work at one.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// By the server's clock, which tells only whether there was something new.
    last_active: DateTime<Utc>,
    /// By the clock of the looks.
    at: DateTime<Utc>,
}

/// When a contract was last served.
#[derive(Debug)]
struct Seen {
    at: DateTime<Utc>,
    look: u64,
}

/// One process that answered.
#[derive(Debug)]
struct Process {
    context: String,
    contracts: Vec<ContractName>,
    instance: WorkerInstance,
    seen: Seen,
}

impl Picture {
    fn take(&mut self, services: &[ServicePing], queues: &BTreeMap<ContractName, Queue>, at: DateTime<Utc>) {
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
        self.looks += 1;
        for service in services {
            let Some(contracts) = service.contracts() else { continue };
            contracts.iter().for_each(|contract| self.served(contract, at));
            let instance = WorkerInstance {
                id: service.id.clone(),
                version: service.version.clone(),
                started_at: service.started_at(),
            };
            let seen = Seen { at, look: self.looks };
            let process = Process { context: service.name.clone(), contracts, instance, seen };
            self.processes.insert(service.id.clone(), process);
        }
        let looks = self.looks;
        self.processes.retain(|_, process| looks - process.seen.look < MISSES);
        for (contract, queue) in queues {
            let heard = self.hear(contract, queue, at);
            if queue.pulls > 0 {
                self.served(contract, at);
            } else if let Some(heard_at) = heard {
                self.served(contract, heard_at);
            }
        }
        self.heard.retain(|contract, _| queues.contains_key(contract));
    }

    /// When the contract's workers were last heard, if they count as being there: since the last look, or so lately that what they have
    /// in hand is not yet given to others. A worker that holds a command neither pulls nor needs to answer a ping.
    fn hear(&mut self, contract: &ContractName, queue: &Queue, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last_active = queue.last_active?;
        let before = self.heard.get(contract).copied();
        let is_new = before.is_some_and(|before| before.last_active != last_active);
        let heard = match before {
            Some(before) if !is_new => before,
            Some(_) => Heard { last_active, at },
            // The first look knows no better than what the server says.
            None => Heard { last_active, at: last_active.min(at) },
        };
        self.heard.insert(contract.clone(), heard);
        let holds = queue.with_workers > 0 && (at - heard.at).to_std().is_ok_and(|silence| silence <= ACK_WAIT);
        (is_new || holds).then_some(heard.at)
    }

    fn served(&mut self, contract: &ContractName, at: DateTime<Utc>) {
        let look = self.looks;
        if let Some(seen) = self.contracts.get_mut(contract) {
            *seen = Seen { at: at.max(seen.at), look };
        } else if self.contracts.len() < CONTRACTS_MAX {
            self.contracts.insert(contract.clone(), Seen { at, look });
        }
    }

    /// Nothing is said before so many looks that a worker cannot have been missed in all of them.
    fn surroundings(&self) -> Surroundings {
        if self.looks < MISSES {
            return Surroundings::default();
        }
        let lost = |seen: &Seen| (self.looks - seen.look >= MISSES).then_some(seen.at);
        Surroundings {
            watched_since: self.first_at,
            contracts: self.contracts.iter().map(|(contract, seen)| (contract.clone(), lost(seen))).collect(),
        }
    }

    fn view(&self, called: impl Iterator<Item = ContractName>) -> WorkersView {
        let around = self.surroundings();
        let mut contracts: Vec<ContractName> = called.chain(self.contracts.keys().cloned()).collect();
        contracts.sort();
        contracts.dedup();
        let mut items: Vec<ContractPresence> = contracts
            .into_iter()
            .map(|contract| {
                let serving = self.processes.values().filter(|process| process.contracts.contains(&contract));
                ContractPresence {
                    last_seen_at: self.contracts.get(&contract).map(|seen| seen.at),
                    unserved_since: around.unserved(&contract).map(|unserved| match unserved {
                        Unserved::Since(at) | Unserved::SinceAtLeast(at) => at,
                    }),
                    ..presence(contract.context(), Some(contract.clone()), serving)
                }
            })
            .collect();
        let mut without: Vec<&str> = self.processes.values().map(|process| process.context.as_str()).collect();
        without.sort_unstable();
        without.dedup();
        for context in without {
            if items.iter().all(|item| item.context != context) {
                let serving = self.processes.values().filter(|process| process.context == context);
                items.push(presence(context, None, serving));
            }
        }
        items.sort_by(|left, right| (&left.context, &left.contract).cmp(&(&right.context, &right.contract)));
        WorkersView { watched_since: self.first_at, looked_at: self.last_at, items }
    }
}

fn presence<'a>(
    context: &str,
    contract: Option<ContractName>,
    serving: impl Iterator<Item = &'a Process>,
) -> ContractPresence {
    let mut instances = Vec::new();
    let (mut instance_count, mut last_seen_at) = (0, None);
    for process in serving {
        instance_count += 1;
        last_seen_at = last_seen_at.max(Some(process.seen.at));
        if instances.len() < INSTANCES_SHOWN_MAX {
            instances.push(process.instance.clone());
        }
    }
    ContractPresence {
        context: context.to_owned(),
        contract,
        instance_count,
        instances,
        last_seen_at,
        unserved_since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAY: &str = "payment.capture@1";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_348_000 + seconds, 0).expect("a time")
    }

    fn ping(name: &str, id: &str, contracts: &str) -> ServicePing {
        let metadata = BTreeMap::from([("contracts".to_owned(), contracts.to_owned())]);
        ServicePing { name: name.to_owned(), id: id.to_owned(), version: "1.0.0".to_owned(), metadata }
    }

    fn pulled(pulls: usize) -> BTreeMap<ContractName, Queue> {
        BTreeMap::from([(contract(), Queue { pulls, ..Queue::default() })])
    }

    /// So many commands with workers, last heard then.
    fn held(with_workers: u64, last_active: i64) -> BTreeMap<ContractName, Queue> {
        let last_active = Some(at(last_active));
        BTreeMap::from([(contract(), Queue { with_workers, last_active, ..Queue::default() })])
    }

    fn contract() -> ContractName {
        PAY.parse().expect("a name")
    }

    /// What is said of the contract after each look.
    fn said(looks: &[(&[ServicePing], BTreeMap<ContractName, Queue>)]) -> Vec<Option<Unserved>> {
        let mut picture = Picture::default();
        let mut said = Vec::new();
        for ((services, queues), second) in looks.iter().zip(0..) {
            picture.take(services, queues, at(second));
            said.push(picture.surroundings().unserved(&contract()));
        }
        said
    }

    #[test]
    fn a_contract_is_unserved_since_it_was_last_seen_and_one_lost_answer_says_nothing() {
        let here = [ping("payment", "a", PAY)];
        let none = BTreeMap::new;
        assert_eq!(
            said(&[(&here, none()), (&[], none()), (&here, none()), (&[], none()), (&[], none()), (&here, none())]),
            [None, None, None, None, Some(Unserved::Since(at(2))), None]
        );
        let never = Some(Unserved::SinceAtLeast(at(0)));
        assert_eq!(said(&[(&[], none()), (&[], none()), (&[], none())]), [None, never, never]);
        let other = [ping("payment", "a", "payment.refund@1"), ping("billing", "b", PAY)];
        assert_eq!(
            said(&[(&other, none()), (&other, none())]),
            [None, never],
            "a context speaks for its own contracts"
        );
    }

    #[test]
    fn who_pulls_without_a_word_serves_as_well() {
        assert_eq!(said(&[(&[], pulled(1)), (&[], pulled(1))]), [None, None]);
        let busy: Vec<_> = [0, 1, 2, 2, 2].map(|last_active| (&[][..], held(0, last_active))).into();
        let lost = Some(Unserved::Since(at(2)));
        assert_eq!(said(&busy), [None, None, None, None, lost], "who has its hands full does not ask for more");
    }

    #[test]
    fn who_is_at_work_at_a_command_serves_until_its_ack_wait_has_passed() {
        let last = |looks: &[BTreeMap<ContractName, Queue>]| {
            let looks: Vec<_> = looks.iter().map(|queues| (&[][..], queues.clone())).collect();
            said(&looks)
        };
        // It says every four seconds that it is in progress.
        let working: Vec<_> = (0..20).map(|second| held(1, second / 4 * 4)).collect();
        assert_eq!(last(&working), vec![None; 20]);
        // It is lost after its second word; what it held is with nobody, and waits for somebody to pull.
        let lost: Vec<_> = (0..14).map(|second| held(1, if second < 4 { 0 } else { 4 })).collect();
        let mut wanted = vec![None; 11];
        wanted.extend([Some(Unserved::Since(at(4))); 3]);
        assert_eq!(last(&lost), wanted);
        // Lost before anybody looked.
        assert_eq!(last(&[held(1, -60), held(1, -60)]), [None, Some(Unserved::SinceAtLeast(at(0)))]);
        // Given back: nobody has it.
        assert_eq!(last(&[held(1, 0), held(0, 0), held(0, 0)]), [None, None, Some(Unserved::Since(at(0)))]);
    }

    #[test]
    fn a_process_is_named_under_each_of_its_contracts_until_it_is_gone() {
        let mut picture = Picture::default();
        let services =
            [ping("payment", "b", PAY), ping("payment", "a", PAY), ping("events", "c", ""), ping("other", "d", "x")];
        picture.take(&services, &BTreeMap::new(), at(0));
        picture.take(&services[1..3], &BTreeMap::new(), at(1));
        let confirm: ContractName = "registration.confirm@1".parse().expect("a name");
        let view = picture.view([confirm.clone()].into_iter());
        let lines: Vec<(&str, Option<String>, usize)> = view
            .items
            .iter()
            .map(|item| (item.context.as_str(), item.contract.as_ref().map(ToString::to_string), item.instance_count))
            .collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(
            lines,
            [
                ("events", None, 1),
                ("other", None, 1),
                ("payment", named(PAY), 2),
                ("registration", named("registration.confirm@1"), 0)
            ]
        );
        picture.take(&services[1..3], &BTreeMap::new(), at(2));
        let view = picture.view(std::iter::empty());
        let payment = view.items.iter().find(|item| item.context == "payment").expect("it is served");
        assert_eq!(payment.instances.iter().map(|instance| instance.id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!((payment.last_seen_at, payment.unserved_since), (Some(at(2)), None));
        assert!(view.items.iter().all(|item| item.context != "other"), "gone without a trace: it served no contract");
    }
}
