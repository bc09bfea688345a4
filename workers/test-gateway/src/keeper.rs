//! The one task that owns book and ledger: takes what is asked, decides in memory, writes once for all, then answers.
//!
//! Answers leave only after the fsync of the batch they belong to, so nobody sees what a crash could take back; and
//! delays are waited out by those who ask, never here.

use std::time::Duration;

use chrono::Utc;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::decide::{self, Delays, IntentAnswer, RefundAnswer};
use crate::ledger::{Ledger, LedgerError};
use crate::model::{ChargeRequest, Entry, LedgerView, RefundRequest, WebhookEvent};

/// Requests that may wait; beyond it callers wait to ask.
const QUEUE_LEN: usize = 1024;

/// Most requests that share one fsync, so that none waits for an endless batch.
const BATCH_LEN: usize = 256;

/// Longest wait between looks at the clock: intents come due by wall time, which may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

/// What can be asked.
#[derive(Debug)]
pub enum Ask {
    Charge { key: String, request: ChargeRequest, answer: oneshot::Sender<IntentAnswer> },
    Find { key: String, answer: oneshot::Sender<IntentAnswer> },
    Void { key: String, answer: oneshot::Sender<IntentAnswer> },
    Refund { key: String, request: RefundRequest, answer: oneshot::Sender<RefundAnswer> },
    FindRefund { key: String, answer: oneshot::Sender<RefundAnswer> },
    Ledger { answer: oneshot::Sender<LedgerView> },
    Untold { answer: oneshot::Sender<Vec<WebhookEvent>> },
    WebhookTaken { event_id: String, answer: oneshot::Sender<()> },
}

/// Asks the keeper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keeper {
    asks: mpsc::Sender<Ask>,
}

/// The keeper is gone: the server stops, or the disk failed.
#[derive(Debug)]
pub struct Gone;

impl Keeper {
    /// The keeper and the task that must be spawned. `untold` is notified when there is a webhook to send.
    pub fn new(
        ledger: Ledger,
        book: Book,
        delays: Delays,
        untold: std::sync::Arc<Notify>,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), LedgerError>> + Send) {
        let (asks, queue) = mpsc::channel(QUEUE_LEN);
        (Self { asks }, keep(ledger, book, delays, untold, queue, shutdown))
    }

    /// Asks and awaits the answer, which then stands on disk. Dropping the future leaves what was asked done or not.
    pub async fn ask<A>(&self, ask: impl FnOnce(oneshot::Sender<A>) -> Ask) -> Result<A, Gone> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

/// Gives an answer, if anybody still waits for it.
type Release = Box<dyn FnOnce() + Send>;

async fn keep(
    mut ledger: Ledger,
    mut book: Book,
    delays: Delays,
    untold: std::sync::Arc<Notify>,
    mut queue: mpsc::Receiver<Ask>,
    shutdown: CancellationToken,
) -> Result<(), LedgerError> {
    let mut batch = Vec::with_capacity(BATCH_LEN);
    loop {
        let wait = book.next_due().map_or(CLOCK_CHECK, |due| (due - Utc::now()).to_std().unwrap_or_default());
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            count = queue.recv_many(&mut batch, BATCH_LEN) => if count == 0 { return Ok(()) },
            () = tokio::time::sleep(wait.min(CLOCK_CHECK)) => {}
        }
        let (mut entries, mut releases) = (Vec::new(), Vec::with_capacity(batch.len()));
        let settled = settle(&mut book, &mut entries);
        for ask in batch.drain(..) {
            let (entry, release) = decide(&mut book, ask, delays);
            entries.extend(entry);
            releases.push(release);
        }
        if !entries.is_empty() {
            let written = tokio::task::spawn_blocking(move || (ledger.append(&entries), ledger)).await;
            let (result, returned) = written.expect("appending neither panics nor is cancelled");
            result?;
            ledger = returned;
        }
        releases.into_iter().for_each(|release| release());
        if settled {
            untold.notify_one();
        }
    }
}

fn settle(book: &mut Book, entries: &mut Vec<Entry>) -> bool {
    let now = Utc::now();
    let before = entries.len();
    while entries.len() < BATCH_LEN
        && let Some(key) = book.due_by(now)
    {
        let entry = Entry::Settled { key, at: now };
        book.apply(entry.clone());
        entries.push(entry);
    }
    entries.len() > before
}

fn release<A: Send + 'static>(sender: oneshot::Sender<A>, answer: A) -> Release {
    // Whoever asked may have gone; what was done stands all the same.
    Box::new(move || drop(sender.send(answer)))
}

fn decide(book: &mut Book, ask: Ask, delays: Delays) -> (Option<Entry>, Release) {
    let now = Utc::now();
    match ask {
        Ask::Charge { key, request, answer } => {
            let (said, entry) = decide::charge(book, &key, request, delays, now);
            (entry, release(answer, said))
        }
        Ask::Find { key, answer } => (None, release(answer, decide::find(book, &key))),
        Ask::Void { key, answer } => {
            let (said, entry) = decide::void(book, &key, now);
            (entry, release(answer, said))
        }
        Ask::Refund { key, request, answer } => {
            let (said, entry) = decide::refund(book, &key, request, now);
            (entry, release(answer, said))
        }
        Ask::FindRefund { key, answer } => (None, release(answer, decide::find_refund(book, &key))),
        Ask::Ledger { answer } => (None, release(answer, book.ledger())),
        Ask::Untold { answer } => {
            let events = book.untold().iter().filter_map(|id| book.event(id)).collect();
            (None, release(answer, events))
        }
        Ask::WebhookTaken { event_id, answer } => {
            let entry = book.is_untold(&event_id).then_some(Entry::WebhookTaken { event_id, at: now });
            if let Some(entry) = &entry {
                book.apply(entry.clone());
            }
            (entry, release(answer, ()))
        }
    }
}
