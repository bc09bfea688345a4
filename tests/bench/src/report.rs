//! The results, kept as JSON and told as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::{Machine, compiler};
use crate::measurement::{Contender, Measurement, median};

/// Everything measured in one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// What.
    pub measurements: Vec<Measurement>,
}

impl Results {
    /// What was written last.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("results.json");
        let text = fs::read_to_string(&path).with_context(|| format!("{} holds the results", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes `results.json` and `RESULTS.md`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)?)?;
        fs::write(folder.join("RESULTS.md"), self.text())?;
        Ok(())
    }

    fn points(&self) -> BTreeSet<(usize, Contender)> {
        self.measurements.iter().map(|measurement| (measurement.in_flight, measurement.contender)).collect()
    }

    fn of(&self, in_flight: usize, contender: Contender) -> Vec<&Measurement> {
        let wanted =
            |measurement: &&Measurement| (measurement.in_flight, measurement.contender) == (in_flight, contender);
        self.measurements.iter().filter(wanted).collect()
    }

    /// The report.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.speed(&mut text);
        self.cost(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let machine = &self.machine;
        let rounds = self.measurements.iter().map(|measurement| measurement.round).max().unwrap_or_default();
        let build = if machine.release_build {
            "release build"
        } else {
            "**debug build: these figures say that the benchmark runs, not how fast Amends is**"
        };
        let _ = write!(
            text,
            "# Results\n\nWritten by `amends-bench`; raw figures in `results.json`.\n\n\
             - {at}, {build}, {compiler}\n\
             - {cores} cores ({model}), Linux {kernel}; everything measured shares them with the driver. Load average {before} before, \
             {after} after\n\
             - nats-server {nats}, one node, JetStream on files as `amends dev` configures it (`sync_interval` of 1 s)\n\
             - the journal: SurrealDB embedded on SurrealKV with `sync=every`, one fsync for each commit; 8 partitions in one process\n\
             - {rounds} rounds of each contender, interleaved, each on a new server and new folders; a row is the median of its rounds, \
             brackets hold the least and the most\n\n\
             The job: four steps, one after the other, on four workers that do nothing; a closed loop keeps so many sagas in flight. \
             *Engine* has plain JetStream consumers as workers, in one process beside the orchestrator's; *SDK* the same four as contexts \
             of the Rust SDK, each with a database and one fsynced transaction for each command; *floor* has a process in the orchestrator's \
             place that answers and publishes the same messages, and decides and stores nothing. A saga counts as completed when the record \
             that says so is committed and fsynced.\n\n",
            at = machine.at,
            compiler = compiler(),
            cores = machine.cores,
            model = machine.model,
            kernel = machine.kernel,
            before = machine.load_before,
            after = machine.load_after,
            nats = machine.nats_server,
        );
    }

    fn speed(&self, text: &mut String) {
        let _ = write!(
            text,
            "## Speed\n\n| in flight | contender | sagas/s | of the floor | accepted→completed p50 / p99 / p99.9 ms | asked→completed p50 / p99 / \
             p99.9 ms |\n|---|---|---|---|---|---|\n"
        );
        for (in_flight, contender) in self.points() {
            let rounds = self.of(in_flight, contender);
            let rate = |of: &[&Measurement]| median(of.iter().map(|measurement| measurement.rate()).collect());
            let (middle, least, most) = rate(&rounds);
            let floor = rate(&self.of(in_flight, Contender::Floor)).0;
            let share = if floor > 0.0 { format!("{:.0} %", 100.0 * middle / floor) } else { "–".to_owned() };
            let latency = |pick: &dyn Fn(&Measurement) -> [f64; 3]| {
                let at = |place: usize| median(rounds.iter().map(|round| pick(round)[place]).collect()).0;
                format!("{:.2} / {:.2} / {:.2}", at(0), at(1), at(2))
            };
            let accepted = latency(&|round| {
                let found = round.accepted_to_completed_ms;
                [found.p50, found.p99, found.p999]
            });
            let asked = latency(&|round| {
                let found = round.asked_to_completed_ms;
                [found.p50, found.p99, found.p999]
            });
            let title = contender.title();
            let _ = writeln!(
                text,
                "| {in_flight} | {title} | {middle:.0} [{least:.0}, {most:.0}] | {share} | {accepted} | {asked} |"
            );
        }
    }

    fn cost(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Cost\n\nJournal records are commits, and so fsyncs; commits of the view are one more fsync each, which SurrealKV shares with \
             whatever else commits at that moment.\n\n| in flight | contender | CPU s per 1,000 sagas | journal records per saga | view commits \
             per saga | journal bytes per saga | written to disk per saga, KiB | peak memory, MiB |\n|---|---|---|---|---|---|---|---|\n"
        );
        for (in_flight, contender) in self.points() {
            let rounds = self.of(in_flight, contender);
            let by_process = |pick: &dyn Fn(&Measurement) -> &BTreeMap<String, f64>, factor: f64, digits: usize| {
                let names: BTreeSet<&String> = rounds.iter().flat_map(|round| pick(round).keys()).collect();
                let shown = names.into_iter().map(|name| {
                    let values = rounds.iter().filter_map(|round| pick(round).get(name)).map(|value| value * factor);
                    format!("{name} {:.digits$}", median(values.collect()).0)
                });
                shown.collect::<Vec<_>>().join(", ")
            };
            let journal = |pick: &dyn Fn(&crate::measurement::Journal) -> f64, digits: usize| {
                let values: Vec<f64> = rounds.iter().filter_map(|round| round.journal.as_ref().map(pick)).collect();
                if values.is_empty() { "–".to_owned() } else { format!("{:.digits$}", median(values).0) }
            };
            let _ = writeln!(
                text,
                "| {in_flight} | {} | {} | {} | {} | {} | {} | {} |",
                contender.title(),
                by_process(&|round| &round.cpu_seconds, 1.0, 2),
                journal(&|journal| journal.records, 3),
                journal(&|journal| journal.projections, 4),
                journal(&|journal| journal.bytes, 0),
                by_process(&|round| &round.written_bytes, 1.0 / 1024.0, 1),
                by_process(&|round| &round.peak_memory_mib, 1.0, 0),
            );
        }
    }
}
