//! The engine over NATS: an orchestrator is [`Orchestrator::start`] and little else.
//!
//! ```no_run
//! # async fn example(
//! #     store: std::sync::Arc<dyn amends_engine::ports::Store>,
//! #     schedules: std::sync::Arc<dyn amends_engine::schedules::ScheduleStore>,
//! #     bulks: std::sync::Arc<dyn amends_engine::bulk::BulkStore>,
//! #     library: amends_core::definition::DefinitionLibrary,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use amends_bus::{Orchestrator, OrchestratorParts};
//!
//! let orchestrator = Orchestrator::start(OrchestratorParts {
//!     store,
//!     schedules,
//!     bulks,
//!     nats: amends_nats::NatsSettings {
//!         url: "nats://127.0.0.1:4222".to_owned(),
//!         name: "orchestrator".to_owned(),
//!         credentials: None,
//!         replicas: 1,
//!     },
//!     library: std::sync::Arc::new(library),
//!     settings: amends_engine::EngineSettings::default(),
//!     owner: "host-1".to_owned(),
//!     partitions: None,
//! })
//! .await?;
//! tokio::signal::ctrl_c().await?;
//! orchestrator.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! * [`Orchestrator`]: everything put together.
//! * [`transport`]: commands and changes, published; what sagas want of others, asked.
//! * [`front`]: partition requests, decoded and answered after the commit.
//! * [`endpoints`]: what any orchestrator answers.
//! * [`schedules`]: what any orchestrator answers about schedules.
//! * [`leases`]: who tries for a partition, in a key-value bucket.
//! * [`presence`]: who serves which contract, remembered.
//! * [`queues`]: how much waits in the work queue, measured when somebody asks.
//! * [`monitor`]: notices that a stream was lost, makes it again and has everything in flight dispatched again.

mod answers;
mod bulk;
pub mod endpoints;
pub mod front;
pub mod leases;
pub mod monitor;
mod orchestrator;
pub mod presence;
pub mod queues;
pub mod schedules;
pub mod transport;

pub use orchestrator::{Orchestrator, OrchestratorError, OrchestratorParts};
