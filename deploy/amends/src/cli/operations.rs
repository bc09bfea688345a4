//! `amends workers`, `amends queues`, `amends dead-letters …`.

use clap::{Args, Subcommand, ValueEnum};

use super::AuditArgs;

/// Where to ask.
#[derive(Debug, Args)]
pub struct OperationsArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
}

#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: DeadLetterCommand,
}

#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// List them, context by context, newest first.
    List {
        /// Only of this context.
        #[arg(long)]
        context: Option<String>,
        /// Where they stand.
        #[arg(long, default_value = "dead")]
        status: LetterStatus,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show one: what was wrong, what was done, its payload.
    Show {
        /// Whose.
        context: String,
        /// Its id.
        id: String,
    },
    /// Publish one again, for its context alone, once its cause is gone.
    Redrive {
        /// Whose.
        context: String,
        /// Its id.
        id: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Settle one for good. Needs a reason.
    Discard {
        /// Whose.
        context: String,
        /// Its id.
        id: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LetterStatus {
    /// It waits for a person.
    Dead,
    /// It was published again.
    Redriven,
    /// It is settled.
    Discarded,
}

impl LetterStatus {
    /// As it stands in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            LetterStatus::Dead => "dead",
            LetterStatus::Redriven => "redriven",
            LetterStatus::Discarded => "discarded",
        }
    }
}
