//! The gateway over real HTTP and a real nats-server, with small subscribers that play the orchestrator and the contexts.
//! Every answer is checked against the OpenAPI document that the gateway serves.

mod bounds;
mod bulk;
mod contexts;
mod errors;
mod openapi;
mod operations;
mod registrations;
mod sagas;
mod schedules;
mod schema;
mod stage;
mod stream;
mod trace;
mod workers;
