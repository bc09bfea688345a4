//! What a bounded context is built with.
//!
//! A context registers [`Step`]s by contract name, [`Endpoint`]s that the API asks directly, [`Subscriber`]s to other
//! contexts' domain events and [`Background`] work. The SDK gives each call a [`UnitOfWork`]: one database transaction in
//! which the inbox key, the domain change and the outgoing domain events commit together, or not at all.
//!
//! * [`context`]: the builder and the running of a context.
//! * [`step`]: handlers of step contracts and how they can end.
//! * [`endpoint`], [`subscriber`], [`background`]: the other ways a context is called.
//! * [`paging`]: pages of a list.
//! * [`work`]: the unit of work.
//! * [`inbox`]: what is remembered so that nothing happens twice, and for how long.
//! * [`dead_letters`]: what could not be handled, for people.
//! * `testing` (feature of the same name): handlers called as the worker calls them, without NATS.

pub mod background;
mod condition;
pub mod context;
pub mod dead_letters;
pub mod endpoint;
pub mod inbox;
mod locks;
mod outbox;
pub mod paging;
mod relay;
mod run;
mod scope;
mod serve;
pub mod step;
pub mod subscriber;
#[cfg(feature = "testing")]
pub mod testing;
pub mod work;

pub use amends_database as database;
pub use background::Background;
pub use context::{BoundedContext, WorkerError, WorkerSettings};
pub use endpoint::{Endpoint, EndpointError};
pub use paging::Paging;
pub use step::{Failure, Probe, Step, StepContext, Success, Undo};
pub use subscriber::Subscriber;
pub use work::{DomainEvent, UnitOfWork};
