//! The partition loop: await one input, drain what else is ready, decide, append once, then act.
//!
//! [`Engine::start`] tries for every partition of a deployment. For each one whose lease it gets it replays the journal,
//! appends a record of a new epoch (which fences the owner before), sets everything under way going again, and runs the loop
//! until it is stopped or fenced. What the engine needs of the world stands in [`ports`].
//!
//! * [`ports`]: what the engine needs of a store, of a transport and of leases.
//! * [`Engine`], [`PartitionHandle`]: running partitions and putting requests to them.
//! * [`request`]: what can be asked of a partition.
//! * [`schedules`]: what starts sagas at given times.
//! * [`retention`]: how long what is over is kept, and how it goes.
//! * [`status`]: how partitions stand, for readiness.
//! * [`chore`]: work for a whole deployment that one process at a time does; [`rekey`] is one, [`bulk`] another.
//! * [`EngineSettings`]: every bound and delay, with its reason.

mod ahead;
pub mod bulk;
pub mod chore;
mod dispatcher;
mod engine;
mod errand;
mod gate;
mod handle;
mod partition;
pub mod ports;
mod projector;
pub mod rekey;
pub mod request;
pub mod retention;
pub mod schedules;
mod settings;
pub mod status;
mod timers;

pub use engine::{Engine, EngineParts, Front};
pub use errand::PeerAsk;
pub use handle::PartitionHandle;
pub use settings::EngineSettings;
