//! `amends schedule …`: what starts sagas at given times, through the API.

use amends_schemas::saga::Page;
use amends_schemas::schedule::{ScheduleActRecord, ScheduleOperated, ScheduleSummary, ScheduleView};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::cli::AuditArgs;
use crate::client::Client;

#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Make a schedule.
    Create {
        /// Its name: lower-case letters, digits, - and _.
        name: String,
        /// Whose sagas it starts.
        #[arg(long)]
        definition: String,
        /// Starts nothing until it is resumed.
        #[arg(long)]
        paused: bool,
        #[command(flatten)]
        what: WhatArgs,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// List schedules, by name.
    List {
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one schedule: its next times, what it last started, what people did with it.
    Show {
        /// Its name.
        name: String,
    },
    /// Change what a schedule starts, or when.
    Change {
        /// Its name.
        name: String,
        #[command(flatten)]
        what: WhatArgs,
        /// The newest version at each time, whatever version it was.
        #[arg(long, conflicts_with = "version")]
        newest: bool,
        /// Only while it has this revision, as `show` says.
        #[arg(long)]
        revision: Option<u64>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Start nothing until it is resumed; what passes meanwhile is not caught up.
    Pause {
        /// Its name.
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Go on from now.
    Resume {
        /// Its name.
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Start one saga now, whether it is paused or not.
    Run {
        /// Its name.
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// End it. The sagas that it started go on.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
}

/// What is started, and when.
#[derive(Debug, Args)]
pub struct WhatArgs {
    /// Minute, hour, day of month, month, day of week, such as "30 2 * * *"; six fields begin with the second.
    #[arg(long)]
    pub cron: Option<String>,
    /// IANA name of the zone in which it is read, such as Europe/Berlin; UTC unless given.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// What every saga is started with, as JSON; {} unless given.
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// The member of the input that is set to the time for which a saga is started.
    #[arg(long, value_name = "NAME")]
    pub time_member: Option<String>,
    /// The definition's version; the newest at each time unless given.
    #[arg(long)]
    pub version: Option<u32>,
    /// A label for every saga, besides `schedule_<name>`; may be given several times.
    #[arg(long = "tag")]
    pub tags: Vec<String>,
    /// What becomes of times that passed while nobody could start anything; skip unless given.
    #[arg(long)]
    pub catch_up: Option<CatchUpArg>,
}

/// What becomes of times that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CatchUpArg {
    /// They are left out.
    Skip,
    /// The newest of them is started.
    Latest,
    /// The newest 100 of them are started, oldest first.
    All,
}

/// Runs one of the verbs.
///
/// # Errors
/// The API's own code and sentence, or that nothing answers.
pub async fn run(args: &ScheduleArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api);
    match &args.command {
        ScheduleCommand::Create { name, definition, paused, what, audit } => {
            let mut body = what.members()?;
            body.insert("name".to_owned(), json!(name));
            body.insert("definition".to_owned(), json!(definition));
            body.insert("paused".to_owned(), json!(paused));
            body.entry("input").or_insert_with(|| json!({}));
            let body = with_audit(body, audit);
            let made: ScheduleView = client.post_once("/v1/schedules", audit.key.as_deref(), &body).await?;
            print!("{}", shown(&made));
        }
        ScheduleCommand::List { limit } => {
            let page: Page<ScheduleSummary> = client.get("/v1/schedules", &[("limit", limit.to_string())]).await?;
            for summary in &page.items {
                println!("{}", line(summary));
            }
            if page.next_cursor.is_some() {
                println!("there are more: raise --limit");
            }
        }
        ScheduleCommand::Show { name } => {
            print!("{}", shown(&client.get::<ScheduleView>(&format!("/v1/schedules/{name}"), &[]).await?));
        }
        ScheduleCommand::Change { name, what, newest, revision, audit } => {
            let mut body = what.members()?;
            if *newest {
                body.insert("version".to_owned(), Value::Null);
            }
            if let Some(revision) = revision {
                body.insert("revision".to_owned(), json!(revision));
            }
            let path = format!("/v1/schedules/{name}");
            let body = with_audit(body, audit);
            tell(&client.patch_once(&path, audit.key.as_deref(), &body).await?);
        }
        ScheduleCommand::Pause { name, audit } => operate(&client, name, "pause", audit).await?,
        ScheduleCommand::Resume { name, audit } => operate(&client, name, "resume", audit).await?,
        ScheduleCommand::Run { name, audit } => operate(&client, name, "run", audit).await?,
        ScheduleCommand::Delete { name, audit } => {
            let query = [("reason", audit.reason.clone()), ("by", audit.by.clone())];
            tell(&client.delete_once(&format!("/v1/schedules/{name}"), audit.key.as_deref(), &query).await?);
        }
    }
    Ok(())
}

impl WhatArgs {
    /// What was given, as members of the request.
    fn members(&self) -> anyhow::Result<Map<String, Value>> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        let input = self.input.as_deref().map(serde_json::from_str::<Value>).transpose();
        put("input", input.context("--input is not JSON")?);
        put("cron", self.cron.as_ref().map(|cron| json!(cron)));
        put("time_zone", self.time_zone.as_ref().map(|zone| json!(zone)));
        put("time_member", self.time_member.as_ref().map(|member| json!(member)));
        put("version", self.version.map(|version| json!(version)));
        put("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        put(
            "catch_up",
            self.catch_up.map(|policy| match policy {
                CatchUpArg::Skip => json!("skip"),
                CatchUpArg::Latest => json!("latest"),
                CatchUpArg::All => json!("all"),
            }),
        );
        Ok(members)
    }
}

fn with_audit(mut members: Map<String, Value>, audit: &AuditArgs) -> Value {
    members.insert("reason".to_owned(), json!(audit.reason));
    members.insert("by".to_owned(), json!(audit.by));
    Value::Object(members)
}

async fn operate(client: &Client, name: &str, verb: &str, audit: &AuditArgs) -> anyhow::Result<()> {
    let body = with_audit(Map::new(), audit);
    tell(&client.post_once(&format!("/v1/schedules/{name}/{verb}"), audit.key.as_deref(), &body).await?);
    Ok(())
}

fn tell(operated: &ScheduleOperated) {
    println!("schedule {}: {}", operated.name, act(&operated.act));
}

fn line(schedule: &ScheduleSummary) -> String {
    let version = schedule.version.map_or_else(String::new, |version| format!("@{version}"));
    let state = match (&schedule.last_error, schedule.paused) {
        (_, true) => "paused".to_owned(),
        (Some(error), false) => format!("refused ({}); {}", error.code, next(schedule.next_at)),
        (None, false) => next(schedule.next_at),
    };
    let last = schedule.last_at.map_or_else(String::new, |last| format!("  last {}", when(last)));
    format!("{:<24} {:<20} {}{version}  {state}{last}", schedule.name, schedule.cron, schedule.definition)
}

fn shown(schedule: &ScheduleView) -> String {
    let spec = &schedule.spec;
    let version = spec.version.map_or_else(|| "the newest version".to_owned(), |version| format!("version {version}"));
    let mut lines = vec![
        format!("schedule {}: {} ({version})", schedule.name, spec.definition),
        format!("  {} in {}, catch-up {}", spec.cron, spec.time_zone, spec.catch_up.as_str()),
        if schedule.paused { "  paused".to_owned() } else { format!("  {}", next(schedule.next_at)) },
    ];
    let upcoming = schedule.upcoming.iter().filter(|time| schedule.next_at != Some(**time));
    let upcoming: Vec<String> = upcoming.map(|time| when(*time)).collect();
    lines.push(format!("  {}: {}", if schedule.paused { "if it were resumed" } else { "then" }, upcoming.join(", ")));
    if let (Some(last), Some(saga_id)) = (schedule.last_at, schedule.last_saga_id) {
        lines.push(format!("  last started for {}: saga {saga_id}", when(last)));
    }
    if let Some(error) = &schedule.last_error {
        lines.push(format!("  refused for {}: {} ({})", when(error.scheduled_for), error.message, error.code));
    }
    if let Some(left_out) = schedule.left_out {
        lines.push(format!("  left out: from {} to {}", when(left_out.from), when(left_out.to)));
    }
    lines.push(format!("  input {}", spec.input));
    lines.push(format!("  revision {}", schedule.revision));
    lines.extend(schedule.acts.iter().map(|record| format!("  {}", act(record))));
    lines.join("\n") + "\n"
}

fn act(record: &ScheduleActRecord) -> String {
    let mut text = format!("{} at {} by {}", record.verb.as_str(), when(record.at), record.by);
    if !record.changed.is_empty() {
        text += &format!(" ({})", record.changed.join(", "));
    }
    if let Some(saga_id) = record.saga_id {
        text += &format!(", saga {saga_id}");
    }
    if !record.reason.is_empty() {
        text += &format!(": {}", record.reason);
    }
    text
}

fn next(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "no next time".to_owned(), |time| format!("next {}", when(time)))
}

fn when(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
