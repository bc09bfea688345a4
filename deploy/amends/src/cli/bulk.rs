//! Doing something with every saga that a filter finds.

use clap::{Args, Subcommand, ValueEnum};

use super::{AuditArgs, FilterArgs, ResolveAs};

#[derive(Debug, Args)]
pub struct BulkArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: BulkCommand,
}

#[derive(Debug, Subcommand)]
pub enum BulkCommand {
    /// Begin: operate every saga that the criteria find, oldest first. Needs a reason and at least one criterion.
    Start(Box<BulkStartArgs>),
    /// Show one bulk operation: how far it is, and which sagas refused.
    Show {
        /// Its id.
        bulk_id: uuid::Uuid,
    },
    /// List bulk operations, the latest first.
    List {
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Pause one: no further saga is begun.
    Pause(BulkControlArgs),
    /// Let a paused one go on.
    Resume(BulkControlArgs),
    /// End one where it is. What is done stays done.
    Cancel(BulkControlArgs),
}

#[derive(Debug, Args)]
pub struct BulkControlArgs {
    /// Its id.
    pub bulk_id: uuid::Uuid,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who.
    #[arg(long, default_value = "command line")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct BulkStartArgs {
    /// What to do with each saga.
    pub verb: BulkVerbName,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Only say what would be touched, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// With retry, skip and resolve: the step; the one each saga waits at unless given.
    #[arg(long, value_name = "STEP")]
    pub on_step: Option<String>,
    /// With resolve: how the step really ended.
    #[arg(long = "as", value_name = "HOW")]
    pub resolution: Option<ResolveAs>,
    /// With resolve: one of the contract's outcomes, when it has several.
    #[arg(long)]
    pub outcome: Option<String>,
    /// With resolve: what the step returned, as JSON.
    #[arg(long, value_name = "JSON")]
    pub output: Option<String>,
    /// With terminate: yes, what they have done stays as it is.
    #[arg(long)]
    pub force: bool,
    /// Most sagas operated in a second, 1 to 500.
    #[arg(long, value_name = "COUNT")]
    pub per_second: Option<u32>,
    #[command(flatten)]
    pub audit: AuditArgs,
}

/// What is done to each saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BulkVerbName {
    /// Dispatch nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Try now.
    Retry,
    /// Go back to the step named by --on-step and go on from there.
    RetryFrom,
    /// Pass over the step.
    Skip,
    /// Say how the step ended.
    Resolve,
    /// Make amends, or start the saga that cancels.
    Cancel,
    /// End without amends.
    Terminate,
}
