//! One partition: its memory, its loop, its recovery.

mod answer;
mod decide;
mod errands;
mod gates;
mod history;
pub(crate) mod memory;
mod recover;
mod round;
mod run;
mod watches;

pub(crate) use run::{Ending, Partition, PartitionParts};
