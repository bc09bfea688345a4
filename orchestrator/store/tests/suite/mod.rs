//! What the store promises, wherever the database lives.

mod journal;
mod search;
pub mod view;
