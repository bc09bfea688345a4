//! Real servers for tests: started in a temporary folder, on a free port, ended with the test.

mod nats;
pub mod wait;

pub use nats::{TestNats, nats_server};
