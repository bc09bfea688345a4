//! What happens next: `decide` takes a saga, an input and the time, and answers with facts and effects.
//!
//! | file | concern |
//! |---|---|
//! | `types` | what goes in and comes out |
//! | `turn` | the entry points, and the one place where a fact is made and applied |
//! | `forward` | where a saga that goes forward stands in its flow, its next steps, its end |
//! | `waits` | signals and times |
//! | `children` | sagas that a step starts |
//! | `reply` | what a worker's answer means |
//! | `doubt` | when nobody knows whether a step happened |
//! | `timers` | what is due, and when to wake |
//! | `turning_back` | compensation |
//! | `cancel` | a request to cancel, before and after the pivot |
//! | `operate` | what operators do by hand |
//! | `command` | the command of a step in flight |

mod cancel;
mod children;
mod command;
mod doubt;
mod forward;
mod operate;
mod reply;
mod timers;
mod turn;
mod turning_back;
mod types;
mod waits;

pub use cancel::FORWARD_RETRY_MAX;
pub(crate) use cancel::cancels_backward;
pub use children::{child_cancel, child_ended, child_request};
pub(crate) use children::{child_id, ended_by_hand};
pub use command::command_of;
pub use doubt::DOUBT_ATTEMPTS_MAX;
pub use reply::RETRY_AFTER_MAX;
pub use timers::next_wakeup;
pub(crate) use turn::timeout_of;
pub use turn::{Start, decide, resume, start};
pub(crate) use turning_back::stages;
pub use types::{Decision, Effect, Input};
