//! One partition: its memory, its loop, its recovery.

mod answer;
mod decide;
pub(crate) mod memory;
mod recover;
mod round;
mod run;
mod watches;

pub(crate) use run::{Ending, Partition, PartitionParts};
