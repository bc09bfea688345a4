//! The results, kept as JSON and told as Markdown.

mod cost;
mod registration;
mod scale;
mod speed;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use amends_store::default_partition_count;
use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measurement::{Contender, Measurement, Spread};
use crate::registration::Registered;
use crate::scale::Scaled;

/// Everything measured, in one sitting or several.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where and when, one for each sitting.
    pub sittings: Vec<Machine>,
    /// How Restate was set up, if it took part.
    pub restate: Option<String>,
    /// What.
    pub measurements: Vec<Measurement>,
    /// The main job.
    #[serde(default)]
    pub registration: Option<Registered>,
    /// With many sagas.
    #[serde(default)]
    pub scale: Option<Scaled>,
}

impl Results {
    /// What was written last.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("results.json");
        let text = fs::read_to_string(&path).with_context(|| format!("{} holds the results", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// What was written last; nothing when nothing was.
    pub fn read_if_any(folder: &Path) -> anyhow::Result<Self> {
        if folder.join("results.json").exists() { Self::read(folder) } else { Ok(Self::default()) }
    }

    /// Without what is about to be measured anew.
    pub fn without_rounds(self) -> Self {
        Self { sittings: Vec::new(), restate: None, measurements: Vec::new(), ..self }
    }

    /// Writes `results.json` and `RESULTS.md`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(folder.join("RESULTS.md"), self.text())?;
        Ok(())
    }

    /// The last round so far.
    pub fn last_round(&self) -> usize {
        self.measurements.iter().map(|measurement| measurement.round).max().unwrap_or_default()
    }

    /// Every point measured, in the order of the tables.
    fn points(&self) -> BTreeSet<(usize, Contender)> {
        self.measurements.iter().map(|measurement| (measurement.in_flight, measurement.contender)).collect()
    }

    /// The rounds of one point.
    fn of(&self, in_flight: usize, contender: Contender) -> Vec<&Measurement> {
        let wanted =
            |measurement: &&Measurement| (measurement.in_flight, measurement.contender) == (in_flight, contender);
        self.measurements.iter().filter(wanted).collect()
    }

    /// One contender's value over another's, round by round: what slows a whole round then changes neither.
    fn ratio(
        &self,
        in_flight: usize,
        of: Contender,
        to: Contender,
        value: impl Fn(&Measurement) -> f64,
    ) -> Option<Spread> {
        let by_round = |contender| -> BTreeMap<usize, f64> {
            self.of(in_flight, contender).into_iter().map(|found| (found.round, value(found))).collect()
        };
        let (of, to) = (by_round(of), by_round(to));
        Spread::of(of.iter().filter_map(|(round, of)| to.get(round).filter(|to| **to > 0.0).map(|to| of / to)))
    }

    /// The report.
    pub fn text(&self) -> String {
        let mut text = "# Results\n\nWritten by `amends-bench`; raw figures in `results.json`.\n\n".to_owned();
        self.head(&mut text);
        targets::tell(self, &mut text);
        if !self.measurements.is_empty() {
            speed::tell(self, &mut text);
            cost::tell(self, &mut text);
        }
        if let Some(registered) = &self.registration {
            registration::tell(registered, &mut text);
        }
        if let Some(scaled) = &self.scale {
            scale::tell(scaled, &mut text);
        }
        text
    }

    fn head(&self, text: &mut String) {
        for machine in &self.sittings {
            let _ = writeln!(text, "- {}", machine.line());
        }
        let nats = self.sittings.last().map(|machine| machine.nats_server.as_str()).unwrap_or_default();
        let restate = self.restate.as_deref().unwrap_or("not measured");
        let _ = write!(
            text,
            "- everything measured shares the cores with the driver that gives it work\n\
             - {rounds} rounds, the contenders interleaved, each on new servers and new folders; a figure is the median of its rounds, brackets \
             hold the least and the most; ratios are taken round by round\n\n\
             The job: four steps, one after the other, that do nothing; a closed loop keeps so many in flight. Everybody gets the same input.\n\n\
             - *engine*: nats-server {nats}, one node, JetStream on files as `amends dev` configures it (`sync_interval` of 1 s); the orchestrator with as many \
             partitions as a new deployment has here ({partitions}), its journal in an embedded SurrealDB on SurrealKV with `sync=every` (a record is fsynced before anybody is told anything); four \
             workers as plain JetStream consumers in one more process. A saga is completed when the record that says so is committed.\n\
             - *engine, SDK workers with databases*: the same with the workers as contexts of the Rust SDK, each with a database; what \
             one did is in an fsynced commit before it answers, which commands at the same time share.\n\
             - *Restate*: {restate}. Handlers and services are one process. Asked through its ingress over HTTP/1.1 with connections kept; completed when \
             that answers, which is when the handler has ended. *Four services* is what four workers are: the handler calls four services in turn; *four \
             local steps* is one handler with four `ctx.run`. No idempotency key is given, which spares Restate work that the engine does for each saga.\n\
             - *floor*: the same nats-server and workers; in the orchestrator's place a process that answers and publishes the same messages, and \
             decides and stores nothing.\n\n",
            rounds = self.last_round(),
            partitions = default_partition_count(true).get(),
        );
    }
}

/// A cell: what there is, or a dash.
fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.shown(digits))
}
