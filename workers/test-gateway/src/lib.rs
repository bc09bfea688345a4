//! A deterministic payment gateway over real HTTP, with a ledger of its own.
//!
//! It is a peer system and not a bounded context: our code talks to it only through HTTP, and what it charged can be checked
//! outside our databases' say at `GET /ledger`. What a payment does is decided by its token ([`token`]).
//!
//! | request | answers |
//! |---|---|
//! | `POST /v1/intents` with `Idempotency-Key` | charges once per key: 200 captured, 202 pending, 402 declined, 409 `voided`, `key_reused` |
//! | `GET /v1/intents/by-key/{key}` | the intent under that key (percent-encoded), 404 `not_found` |
//! | `POST /v1/intents/by-key/{key}/void` | bars any later charge under the key: 200, 409 `already_captured`, `processing` |
//! | `POST /v1/refunds` with `Idempotency-Key` | refunds once per key: 200, 404 `charge_not_found`, 409 `refund_exceeds_captured` |
//! | `GET /v1/refunds/by-key/{key}` | the refund under that key, 404 `not_found` |
//! | `GET /ledger` | every charge and refund |
//!
//! Every answer stands on disk before it is given: an append-only file of JSON lines, one fsync for all that came
//! meanwhile, read again at start. `kill -9` loses nothing that was answered.
//!
//! * [`token`]: what each token does. [`signature`]: how webhooks are signed.
//! * `book`: the state, decided and evolved without IO. `ledger`: the file. `keeper`: the one task that owns both.
//! * `http`, `server`: the HTTP side. `delivery`: webhooks, sent until they are taken.

mod book;
mod decide;
mod delivery;
mod http;
mod keeper;
mod ledger;
mod model;
mod server;
pub mod signature;
pub mod token;

pub use ledger::LedgerError;
pub use server::{Settings, StartError, TestGateway};

/// The name under which webhooks of this gateway arrive, as in `POST /v1/webhooks/test`.
pub const NAME: &str = "test";
