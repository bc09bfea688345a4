//! Which sagas are meant.

use clap::Args;

/// Which sagas: those that meet every criterion given.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// One or several, separated by commas: running, compensating, completed, compensated, terminated, stuck.
    #[arg(long)]
    pub status: Option<String>,
    /// Only of this definition.
    #[arg(long)]
    pub definition: Option<String>,
    /// Only of this version of the definition.
    #[arg(long)]
    pub version: Option<u32>,
    /// Only those at this step: in flight, backing off, stuck or cleanly failed.
    #[arg(long)]
    pub step: Option<String>,
    /// Only where the last error of such a step has this code.
    #[arg(long, value_name = "CODE")]
    pub error: Option<String>,
    /// Only where the last errors of such steps hold all these words.
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// Only with all these tags, separated by commas. A business key is a tag such as registration_0193….
    #[arg(long)]
    pub tag: Option<String>,
    /// Only with a tag that begins so, such as event_.
    #[arg(long, value_name = "PREFIX")]
    pub tag_prefix: Option<String>,
    /// Only paused ones (true), or only those that are not (false).
    #[arg(long, value_name = "BOOL")]
    pub paused: Option<bool>,
    /// Only those accepted at this time (RFC 3339) or later.
    #[arg(long, value_name = "TIME")]
    pub created_from: Option<String>,
    /// Only those accepted before.
    #[arg(long, value_name = "TIME")]
    pub created_to: Option<String>,
    /// Only those last changed at this time or later.
    #[arg(long, value_name = "TIME")]
    pub updated_from: Option<String>,
    /// Only those last changed before.
    #[arg(long, value_name = "TIME")]
    pub updated_to: Option<String>,
    /// Only those accepted at least so long ago: 90s, 15m, 36h, 7d.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
}

impl FilterArgs {
    /// What was given, by the API's own names.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("status", &self.status),
            ("definition", &self.definition),
            ("step", &self.step),
            ("error", &self.error),
            ("text", &self.text),
            ("tag", &self.tag),
            ("tag_prefix", &self.tag_prefix),
            ("created_from", &self.created_from),
            ("created_to", &self.created_to),
            ("updated_from", &self.updated_from),
            ("updated_to", &self.updated_to),
            ("older_than", &self.older_than),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let version = self.version.map(|version| ("version", version.to_string()));
        texts.chain(version).chain(self.paused.map(|paused| ("paused", paused.to_string()))).collect()
    }
}
