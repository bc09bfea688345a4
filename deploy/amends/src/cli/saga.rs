//! Looking at sagas and acting on them.

use clap::{Args, Subcommand};

use super::{AuditArgs, FilterArgs, ResolveAs};

#[derive(Debug, Args)]
pub struct SagaArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: SagaCommand,
}

#[derive(Debug, Subcommand)]
pub enum SagaCommand {
    /// List sagas.
    List {
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// In which order: -created (the default, newest first), created, -updated or updated.
        #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
        sort: Option<String>,
        /// Go on where an earlier list said it ended.
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Say how many sagas there are of each definition and status, or how many a filter finds.
    Count {
        #[command(flatten)]
        filter: Box<FilterArgs>,
    },
    /// Show one saga: its steps as a tree, with times, attempts and why it waits.
    Show {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Everything that happened, too.
        #[arg(long)]
        history: bool,
    },
    /// Cancel one saga.
    Cancel {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Say what a cancel would do now, without doing it.
    Preview {
        /// Its id.
        saga_id: uuid::Uuid,
    },
    /// Pause one saga: nothing more is dispatched, timers wait.
    Pause {
        /// Its id.
        saga_id: uuid::Uuid,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Let a paused saga go on where it was.
    Resume {
        /// Its id.
        saga_id: uuid::Uuid,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Try a step that backs off or is stuck again now, with a new budget.
    Retry {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Go back to a step: what has succeeded from it on is undone where it can be, and all of it is done again. Needs a reason.
    RetryFrom {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; not within a parallel.
        step: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Give a step that cleanly failed, or is tried again, another input for its next attempt. Needs a reason.
    EditInput {
        /// Its id.
        saga_id: uuid::Uuid,
        /// The whole input, as JSON.
        #[arg(value_name = "JSON")]
        input: String,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Give one saga a signal that one of its steps waits for, or will.
    Signal {
        /// Its id.
        saga_id: uuid::Uuid,
        /// The signal's name.
        signal: String,
        /// What it says, when the definition names several outcomes.
        #[arg(long)]
        outcome: Option<String>,
        /// What comes with it, as JSON.
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
        /// Who gives it.
        #[arg(long, default_value = "command line")]
        by: String,
        /// Chosen by you, so that the same command given again is done once.
        #[arg(long)]
        key: Option<String>,
    },
    /// Pass over a step that failed behind the point of no return, or an undo that does not work. Needs a reason.
    Skip {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Say how a step in doubt or a stuck one really ended. Needs a reason.
    Resolve {
        /// Its id.
        saga_id: uuid::Uuid,
        /// How it ended.
        #[arg(value_name = "HOW")]
        resolution: ResolveAs,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        /// With succeeded: one of the contract's outcomes, when it has several.
        #[arg(long)]
        outcome: Option<String>,
        /// With succeeded: what the step returned, as JSON.
        #[arg(long, value_name = "JSON")]
        output: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// End one saga as it stands, without amends; its children go on. Needs --force and a reason.
    Terminate {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Yes, what it has done stays as it is.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Follow one saga until it is final.
    Watch {
        /// Its id.
        saga_id: uuid::Uuid,
    },
}
