//! What stands in the history of a saga that somebody acts on.

use clap::{Args, ValueEnum};

/// How a step really ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResolveAs {
    /// It happened, or was undone where its undo is stuck.
    Succeeded,
    /// It did not happen and will not.
    Failed,
}

/// Who, why, and under which key: all of it stands in the saga's history.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who.
    #[arg(long, default_value = "command line")]
    pub by: String,
    /// Chosen by you, so that the same command given again is done once.
    #[arg(long)]
    pub key: Option<String>,
}
