//! The gateway's state and how a ledger entry changes it. No IO, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{
    CardView, ChargeView, Entry, ErrorView, Intent, IntentView, LedgerCharge, LedgerView, Refund, RefundView, State,
    WebhookData, WebhookEvent,
};
use crate::token::Decline;

/// Ids derive from keys, so that the same ledger always shows the same ids.
fn id_of(prefix: &str, key: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{prefix}/{key}").as_bytes()).simple())
}

/// Everything the ledger says, in memory. It grows with the ledger, as long as somebody tests against it.
#[derive(Debug, Default)]
pub struct Book {
    intents: HashMap<String, Intent>,
    refunds: HashMap<String, Refund>,
    /// Key of the intent of a charge.
    charges: HashMap<String, String>,
    charge_order: Vec<String>,
    refund_order: Vec<String>,
    faults: HashMap<String, u32>,
    due: BTreeSet<(DateTime<Utc>, String)>,
    /// Key and time of events that nobody has taken yet, by event id.
    untold: BTreeMap<String, (String, DateTime<Utc>)>,
}

impl Book {
    pub fn intent(&self, key: &str) -> Option<&Intent> {
        self.intents.get(key)
    }

    pub fn refund(&self, key: &str) -> Option<&Refund> {
        self.refunds.get(key)
    }

    pub fn charged(&self, charge_id: &str) -> Option<&Intent> {
        self.charges.get(charge_id).and_then(|key| self.intents.get(key))
    }

    pub fn faults(&self, key: &str) -> u32 {
        self.faults.get(key).copied().unwrap_or(0)
    }

    /// When the next pending intent comes to its end.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The key of a pending intent that is due by `now`.
    pub fn due_by(&self, now: DateTime<Utc>) -> Option<String> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, key)| key.clone())
    }

    /// Ids of events that nobody has taken yet.
    pub fn untold(&self) -> Vec<String> {
        self.untold.keys().cloned().collect()
    }

    pub fn is_untold(&self, event_id: &str) -> bool {
        self.untold.contains_key(event_id)
    }

    /// Takes an entry in. Entries come from `decide` or from the file, where `decide` put them: what does not fit the state
    /// is passed over.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Faulted { key, .. } => *self.faults.entry(key).or_default() += 1,
            Entry::Captured { key, request, at } => {
                let charge_id = self.charge(&key);
                self.open(key, Some(request), State::Captured { charge_id, at }, at);
            }
            Entry::Declined { key, request, decline, at } => {
                self.open(key, Some(request), State::Declined(decline), at);
            }
            Entry::Pending { key, request, due_at, declined, at } => {
                self.due.insert((due_at, key.clone()));
                self.open(key, Some(request), State::Pending { due_at, declined }, at);
            }
            Entry::Settled { key, at } => self.settle(key, at),
            Entry::Voided { key, at } => match self.intents.get_mut(&key) {
                Some(intent) => intent.state = State::Voided,
                None => self.open(key, None, State::Voided, at),
            },
            Entry::Refunded { key, request, at } => {
                let intent = self.charges.get(&request.charge_id).and_then(|key| self.intents.get_mut(key));
                if let Some(intent) = intent {
                    let before = intent.refunded.unwrap_or(Money::zero(request.amount.currency()));
                    intent.refunded = before.checked_add(request.amount).ok().or(Some(before));
                }
                self.refund_order.push(key.clone());
                let refund_id = id_of("re", &key);
                self.refunds.insert(key.clone(), Refund { refund_id, key, request, created_at: at });
            }
            Entry::WebhookTaken { event_id, .. } => {
                self.untold.remove(&event_id);
            }
        }
    }

    fn open(&mut self, key: String, request: Option<crate::model::ChargeRequest>, state: State, at: DateTime<Utc>) {
        let intent_id = id_of("pi", &key);
        let intent = Intent { intent_id, key: key.clone(), request, state, created_at: at, refunded: None };
        self.intents.insert(key, intent);
    }

    fn charge(&mut self, key: &str) -> String {
        let charge_id = id_of("ch", key);
        self.charges.insert(charge_id.clone(), key.to_owned());
        self.charge_order.push(key.to_owned());
        charge_id
    }

    fn settle(&mut self, key: String, at: DateTime<Utc>) {
        let Some(Intent { state: State::Pending { due_at, declined }, .. }) = self.intents.get(&key) else { return };
        let (due_at, declined) = (*due_at, *declined);
        self.due.remove(&(due_at, key.clone()));
        let state = if declined {
            State::Declined(Decline::CardDeclined)
        } else {
            State::Captured { charge_id: self.charge(&key), at }
        };
        self.untold.insert(id_of("evt", &key), (key.clone(), at));
        if let Some(intent) = self.intents.get_mut(&key) {
            intent.state = state;
        }
    }

    /// The event of that id, if nobody has taken it yet.
    pub fn event(&self, event_id: &str) -> Option<WebhookEvent> {
        let (key, at) = self.untold.get(event_id)?;
        let intent = self.intents.get(key)?;
        let kind = match intent.state {
            State::Captured { .. } => "intent.captured",
            State::Declined(_) => "intent.declined",
            State::Pending { .. } | State::Voided => return None,
        };
        let data = WebhookData { intent: intent_view(intent) };
        Some(WebhookEvent { id: event_id.to_owned(), kind, created_at: *at, data })
    }

    /// Every charge and refund, in order of time.
    pub fn ledger(&self) -> LedgerView {
        let charges = self.charge_order.iter().filter_map(|key| self.intents.get(key)).filter_map(ledger_charge);
        let refunds = self.refund_order.iter().filter_map(|key| self.refunds.get(key)).map(refund_view);
        LedgerView { charges: charges.collect(), refunds: refunds.collect() }
    }
}

fn ledger_charge(intent: &Intent) -> Option<LedgerCharge> {
    let (State::Captured { charge_id, at }, Some(request)) = (&intent.state, &intent.request) else { return None };
    Some(LedgerCharge {
        charge_id: charge_id.clone(),
        idempotency_key: intent.key.clone(),
        amount: request.amount,
        token: request.payment_token.clone(),
        reference: request.reference.clone(),
        created_at: *at,
        refunded: intent.refunded.unwrap_or(Money::zero(request.amount.currency())),
    })
}

/// An intent as clients see it.
pub fn intent_view(intent: &Intent) -> IntentView {
    let amount = intent.request.as_ref().map(|request| request.amount);
    let (status, charge, decline) = match &intent.state {
        State::Pending { .. } => ("pending", None, None),
        State::Captured { charge_id, at } => (
            "captured",
            amount.map(|amount| ChargeView { charge_id: charge_id.clone(), amount, created_at: *at }),
            None,
        ),
        State::Declined(decline) => ("declined", None, Some(ErrorView::new(decline.code(), decline.message()))),
        State::Voided => ("voided", None, None),
    };
    let known = !matches!(intent.state, State::Declined(Decline::InvalidToken)) && intent.request.is_some();
    IntentView {
        intent_id: intent.intent_id.clone(),
        idempotency_key: intent.key.clone(),
        status,
        amount,
        reference: intent.request.as_ref().map(|request| request.reference.clone()).unwrap_or_default(),
        charge,
        decline,
        card: known.then_some(CardView { brand: "visa", last_four: "4242", expiry: "2034-12" }),
        created_at: intent.created_at,
    }
}

/// A refund as clients see it.
pub fn refund_view(refund: &Refund) -> RefundView {
    RefundView {
        refund_id: refund.refund_id.clone(),
        idempotency_key: refund.key.clone(),
        charge_id: refund.request.charge_id.clone(),
        amount: refund.request.amount,
        created_at: refund.created_at,
    }
}
