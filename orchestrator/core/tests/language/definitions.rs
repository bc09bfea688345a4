//! Random definitions, made of choices.

use std::fmt::Write as _;

use amends_core::decide::Start;
use amends_core::definition::Definition;
use amends_core::validate::parse;
use amends_schemas::command::Operation;
use amends_schemas::contract::ContractRegistry;
use amends_schemas::family::ParentLink;
use amends_schemas::ids::SagaId;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// A finite list of choices; when it is spent the first of the possible is chosen, so that shorter is simpler.
pub struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// One of so many, from zero.
    pub fn of(&mut self, many: usize) -> usize {
        self.bytes.next().map_or(0, |byte| usize::from(*byte) % many.max(1))
    }

    /// Yes, in one of so many cases.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.of(many) == many - 1
    }
}

/// `t.plain@1` with an undo, `t.pay@1` with undo and probe, `t.look@1` with neither, `t.read@1` with a probe; `t.few@1` and
/// `t.fewer@1` as `t.pay@1` and `t.look@1`, but limited.
fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    for (name, undo, probe, limits) in [
        ("t.plain@1", true, false, "null"),
        ("t.pay@1", true, true, "null"),
        ("t.look@1", false, false, "null"),
        ("t.read@1", false, true, "null"),
        ("t.few@1", true, true, r#"{"concurrency":1}"#),
        ("t.fewer@1", false, false, r#"{"per_second":1}"#),
    ] {
        let document = format!(
            r#"{{"contract":"{name}","title":"t","outcomes":[],"undo":{undo},"probe":{probe},"limits":{limits},"input":{{}},"output":{{}}}}"#
        );
        registry.add(name, &document).expect("valid");
    }
    registry
}

/// When every saga begins.
pub fn epoch() -> DateTime<Utc> {
    "2026-01-02T10:00:00Z".parse().expect("a time")
}

pub fn saga_id() -> SagaId {
    "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid")
}

/// A document under way.
struct Writing<'c, 'b> {
    choices: &'c mut Choices<'b>,
    yaml: String,
    steps: usize,
}

/// A definition and what its saga is started with.
pub fn written(choices: &mut Choices<'_>) -> (Definition, Start) {
    let mut writing = Writing { choices, yaml: String::new(), steps: 0 };
    writing.head();
    let before = 1 + writing.choices.of(3);
    writing.sequence(before, 2, false, 2);
    if !writing.choices.one_in(3) {
        writing.pivot();
        let after = writing.choices.of(3);
        writing.sequence(after, 2, true, 2);
    }
    let yaml = writing.yaml;
    let definition = parse("any.yaml", &yaml, &contracts()).unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}\n{yaml}", findings.join("\n"))
    });
    (definition, started(choices))
}

fn started(choices: &mut Choices<'_>) -> Start {
    let count = [json!(3), json!(0), json!(1), json!(5), json!("many"), json!([1, 2])][choices.of(6)].clone();
    let at = ["2026-01-02T10:00:07Z", "2026-01-02T09:00:00", "soon"][choices.of(3)];
    let policy = ["full", "none"][choices.of(2)];
    let parent = "0193a1de-7d41-7cc1-9b5e-0242ac12000a".parse().expect("a uuid");
    let link = ParentLink { saga_id: parent, step: "kids".to_owned(), child: 3, operation: Operation::Do };
    Start {
        input: json!({"count": count, "at": at, "policy": policy}),
        start_at: choices.one_in(4).then(|| epoch() + TimeDelta::seconds(5)),
        parent: choices.one_in(3).then_some(link),
        ..Start::default()
    }
}

impl Writing<'_, '_> {
    fn head(&mut self) {
        self.yaml.push_str(
            "saga: any\nversion: 1\ntitle: Any\ninput: {type: object, properties: {policy: {enum: [full, none]}, count: {}, at: {}}}\n",
        );
        if self.choices.one_in(2) {
            self.yaml.push_str("deadline: 60s\n");
        }
        if self.choices.one_in(2) {
            self.yaml.push_str("cancel_with: {saga: other, input: {of: /saga/id, why: /cancel/reason}}\n");
        }
        self.yaml.push_str("steps:\n");
    }

    fn line(&mut self, indent: usize, text: &str) {
        writeln!(self.yaml, "{:indent$}{text}", "").expect("writes to a text");
    }

    fn name(&mut self) -> String {
        self.steps += 1;
        format!("s{}", self.steps - 1)
    }

    fn sequence(&mut self, count: usize, indent: usize, behind: bool, depth: usize) {
        for _ in 0..count {
            match self.choices.of(10) {
                0..=3 => self.call(indent, behind),
                4 => self.wait(indent, behind),
                5 => self.sleep(indent),
                6 => self.saga(indent, behind),
                7 => self.for_each(indent, behind),
                _ if depth == 0 => self.call(indent, behind),
                _ => self.parallel(indent, behind, depth - 1),
            }
        }
    }

    fn parallel(&mut self, indent: usize, behind: bool, depth: usize) {
        self.line(indent, "- parallel:");
        for _ in 0..2 + self.choices.of(2) {
            self.line(indent + 4, "- steps:");
            let count = 1 + self.choices.of(2);
            self.sequence(count, indent + 8, behind, depth);
        }
    }

    fn when(&mut self) -> &'static str {
        if self.choices.one_in(5) { ", when: {input: /policy, equals: full}" } else { "" }
    }

    fn call(&mut self, indent: usize, behind: bool) {
        let (name, when) = (self.name(), self.when());
        let undo = "compensate: {undo: {timeout: 3s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}";
        let waive = "compensate: {waive: it only looks}";
        let (contract, rest) = match (behind, self.choices.of(5)) {
            (false, 0) => ("t.plain@1", format!("kind: compensable, {undo}, on_unknown: retry")),
            (false, 1) => ("t.pay@1", format!("kind: compensable, {undo}, on_unknown: probe")),
            (false, 2) => ("t.few@1", format!("kind: compensable, {undo}, on_unknown: probe")),
            (false, 3) => ("t.look@1", format!("kind: compensable, {waive}, on_unknown: ask")),
            (false, _) => ("t.pay@1", format!("kind: compensable, {waive}, on_unknown: probe")),
            (true, 0 | 1) => ("t.look@1", "kind: retriable, on_unknown: retry".to_owned()),
            (true, 2) => ("t.fewer@1", "kind: retriable, on_unknown: retry".to_owned()),
            (true, 3) => ("t.plain@1", "kind: retriable, on_unknown: ask".to_owned()),
            (true, _) => ("t.read@1", "kind: retriable, on_unknown: probe".to_owned()),
        };
        let retry = "timeout: 4s, retry: {attempts: 4, backoff: 1s, jitter: 0}";
        self.line(
            indent,
            &format!("- {{name: {name}, call: {contract}, input: {{at: /input/at}}, {rest}, {retry}{when}}}"),
        );
    }

    fn pivot(&mut self) {
        let name = self.name();
        let contract = ["t.read@1", "t.fewer@1", "t.pay@1"][self.choices.of(3)];
        let retry = "timeout: 4s, retry: {attempts: 4, backoff: 1s, jitter: 0}";
        self.line(2, &format!("- {{name: {name}, call: {contract}, kind: pivot, {retry}}}"));
    }

    fn wait(&mut self, indent: usize, behind: bool) {
        let (name, when) = (self.name(), self.when());
        let late = match self.choices.of(3) {
            0 => "",
            1 if !behind => ", timeout: 6s",
            _ => ", timeout: 6s, on_timeout: late",
        };
        self.line(indent, &format!("- {{name: {name}, await: {name}{late}{when}}}"));
    }

    fn sleep(&mut self, indent: usize) {
        let name = self.name();
        let until =
            ["3s", "{until: /input/at, time_zone: Europe/Paris}", "{until: /input/at, before: 2s}"][self.choices.of(3)];
        self.line(indent, &format!("- {{name: {name}, sleep: {until}}}"));
    }

    fn promise(&mut self, behind: bool) -> &'static str {
        match (behind, self.choices.of(3)) {
            (true, _) => "kind: retriable",
            (false, 0 | 1) => "kind: compensable, compensate: cancel",
            (false, _) => "kind: compensable, compensate: {waive: only paper}",
        }
    }

    fn saga(&mut self, indent: usize, behind: bool) {
        let (name, promise, when) = (self.name(), self.promise(behind), self.when());
        self.line(indent, &format!("- {{name: {name}, saga: badge, {promise}{when}}}"));
    }

    fn for_each(&mut self, indent: usize, behind: bool) {
        let (name, promise, when) = (self.name(), self.promise(behind), self.when());
        let items = ["/input/count", "4", "[a, b, c]"][self.choices.of(3)];
        let concurrency = 1 + self.choices.of(3);
        let policy = ["stop", "continue", "compensate"][self.choices.of(3)];
        self.line(indent, &format!(
            "- {{name: {name}, saga: badge, for_each: {items}, concurrency: {concurrency}, on_failure: {policy}, input: {{place: /index}}, {promise}{when}}}"
        ));
    }
}
