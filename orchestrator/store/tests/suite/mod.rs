//! What the store promises, wherever the database lives.

mod journal;
mod view;
