//! Definitions as documents.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Definitions (YAML), or folders of them with the contracts in a `contracts` below; those that ship when none is named.
    pub files: Vec<PathBuf>,
    /// A folder with contracts of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The definition that sagas ran, as it was released.
    pub old: PathBuf,
    /// The one that is to follow it.
    pub new: PathBuf,
    /// Over how many sagas of the old one, the newest first, in flight or at their ends.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// Where the API answers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    /// A folder with contracts of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}
