//! Plays a new version of a definition over a saga that ran an old one: with the input it was started with and the results that were
//! recorded, step by step. Where the two would go different ways is a [`Divergence`].
//!
//! | file | concern |
//! |---|---|
//! | `recording` | what is known of a saga that ran |
//! | `play` | a definition played over a recording |
//! | `compare` | two plays of one recording side by side |
//!
//! A play takes what was recorded of a step of the same name; of branches it plays one after the other, for within them nothing is
//! known of each other. It knows no clock: waits are over at once, and what a timeout or a cancel would have changed is not seen. A
//! saga that had not come to its end stops where its record does, under both definitions.

mod compare;
mod play;
mod recording;

pub use compare::{Divergence, Order, rehearse};
pub use play::{End, REHEARSED_CHILDREN_MAX};
pub use recording::{Recording, RecordingError};
