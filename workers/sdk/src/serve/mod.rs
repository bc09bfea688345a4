//! The one path on which every handler is called, over NATS as in tests: inbox, schemas, transaction, conflicts, panics.

mod conflict;
mod dead_letter;
mod endpoint;
mod isolated;
mod schema;
mod step;
mod subscriber;

pub(crate) use conflict::{CONFLICT_ATTEMPTS_MAX, jittered, pause_after_conflict};
pub(crate) use dead_letter::{DiscardLetter, ListLetters, RedriveLetter, ShowLetter};
#[cfg(feature = "testing")]
pub(crate) use endpoint::serve_request;
pub(crate) use endpoint::{EndpointServer, ServeEndpoint, answer_request};
pub(crate) use isolated::{Panicked, isolated};
pub(crate) use step::{ServeStep, Served, StepServer, serve_command};
pub(crate) use subscriber::{Heard, ServeSubscriber, SubscriberServer, hear};
