//! What the store promises, wherever the database lives.

mod bulk;
mod completed;
mod journal;
mod known;
mod retain;
mod schedules;
mod search;
pub mod view;
