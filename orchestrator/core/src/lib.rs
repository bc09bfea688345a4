//! The pure heart of Amends: what a saga definition says, and what happens next.
//!
//! No clock, no randomness, no IO, no async: live running, recovery and tests run these same functions.
//!
//! * [`definition`]: the document, read and checked.
//! * [`validate`]: what makes a definition refusable, with file, line and what to write instead.
//! * [`accept`]: what a saga may be started with.
//! * [`state`]: one saga as it stands.
//! * [`children`]: the sagas that a step has started, as they stand.
//! * [`event`]: the facts it is made of; [`evolve`](evolve::evolve) applies one.
//! * [`decide`]: an input and the time in, facts and effects out.
//! * [`preview`]: what a cancel would do now.
//! * [`schedule`]: what starts sagas at given times.
//! * [`standing`]: at which steps a saga stands, for whoever searches for it.
//! * [`rehearse`]: a new version of a definition over sagas that ran an old one.
//! * [`view`]: a saga as people read it, with the sentence that says why it is not moving.
//! * [`surroundings`]: what that sentence says of the world: who serves the contracts a saga waits for.

pub mod accept;
pub mod backoff;
pub mod children;
pub mod decide;
pub mod definition;
pub mod event;
pub mod evolve;
pub mod mapping;
pub mod preview;
pub mod rehearse;
pub mod schedule;
pub mod standing;
pub mod state;
pub mod surroundings;
mod uncertain;
pub mod validate;
pub mod view;
