//! How long what is over is kept, and how it goes: histories into files or nowhere, the journal's records behind them, rows last.
//!
//! A partition's owner takes the oldest records out of the journal, slab by slab, once they are past the shortest history that is to be
//! kept. Facts that somebody still wants (of sagas that are not settled, or whose histories are kept longer) move into a table of their
//! own in the same transaction, so that what is short and ordinary is written once and never moved.

mod archive;
mod policy;
mod port;
mod sweeper;

pub use policy::{Keep, RetentionPolicy};
pub use port::{Cut, Cutoffs, Dropped, KeptPage, OldSaga, Retain, Slab, SlabBounds};
pub(crate) use sweeper::{Sweeping, spawn};
