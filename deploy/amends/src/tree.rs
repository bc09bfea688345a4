//! A saga as a tree of steps on a terminal.

use std::fmt::Write as _;

use amends_schemas::command::Operation;
use amends_schemas::family::ChildrenView;
use amends_schemas::operate::{CancelPreview, CompensationPreview, Operated, UndoAction};
use amends_schemas::saga::{HistoryEntry, SagaSummary, SagaView, StepStatus, StepView};
use amends_schemas::search::{SagaCounts, StatusCount};
use amends_schemas::signal::{SignalEffect, SignalReceipt};
use chrono::{DateTime, TimeDelta, Utc};

/// Children of one step that are named one by one, of those at work and of those that failed: a tree is to fit a screen.
const CHILDREN_NAMED_MAX: usize = 5;

/// The whole saga: head line, why it waits, its steps.
pub fn saga(view: &SagaView) -> String {
    let mut text = format!("{}@{}  {}  {}", view.definition, view.version, view.saga_id, view.status.as_str());
    if let Some(reason) = view.reason {
        let _ = write!(text, " ({})", reason.as_str());
    }
    if view.paused {
        text.push_str(" paused");
    }
    text.push('\n');
    let _ = writeln!(text, "│ accepted {}, {} facts", time(view.created_at), view.event_count);
    if let Some(deadline) = view.deadline_at.filter(|_| !view.status.is_final()) {
        let _ = writeln!(text, "│ deadline {}", time(deadline));
    }
    if let Some(waiting) = &view.waiting_for {
        let _ = writeln!(text, "│ waiting: {waiting}");
    }
    if let Some(start_at) = view.start_at {
        let _ = writeln!(text, "│ begins {}", time(start_at));
    }
    if !view.priority.is_default() {
        let _ = writeln!(text, "│ priority {}", view.priority.get());
    }
    if let Some(parent) = &view.parent {
        let what = match parent.operation {
            Operation::Undo => "cancels",
            Operation::Do | Operation::Probe => "is",
        };
        let _ =
            writeln!(text, "│ {what} child {} of step {} of saga {}", parent.child + 1, parent.step, parent.saga_id);
    }
    if let Some(by) = view.cancelled_by {
        let _ = writeln!(text, "│ cancelled by saga {by}");
    }
    let width = view.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for (index, step) in view.steps.iter().enumerate() {
        let branch = if index + 1 == view.steps.len() { "└─" } else { "├─" };
        let _ = writeln!(text, "{branch} {}", step_line(step, width));
    }
    text
}

/// One step on one line.
pub fn step_line(step: &StepView, width: usize) -> String {
    let mut line = format!("{} {:width$}  {:<12}", mark(step.status), step.name, word(step.status));
    if let Some(outcome) = &step.outcome {
        let _ = write!(line, " → {outcome}");
    }
    if let Some(started) = step.started_at {
        let _ = write!(line, "  {}", time(started));
        if let Some(ended) = step.ended_at {
            let _ = write!(line, " +{}", span(ended - started));
        }
    }
    if step.attempt > 1 {
        let _ = write!(line, "  attempt {}", step.attempt);
    }
    if let Some(until) = step.until {
        let _ = write!(line, "  until {}", time(until));
    }
    if let Some(signal) = step.signal.as_ref().filter(|_| step.status == StepStatus::Waiting) {
        let _ = write!(line, "  for signal {signal}");
    }
    if let Some(children) = &step.children {
        line.push_str(&children_line(children));
    }
    if let Some(error) = &step.error {
        let _ = write!(line, "  {}: {}", error.code, error.message);
    }
    line.trim_end().to_owned()
}

/// How many children there are and how they stand; some of those at work and of those that failed.
fn children_line(children: &ChildrenView) -> String {
    let mut line = format!("  {} children", children.total);
    let counts = [
        ("waiting", children.waiting),
        ("running", children.running),
        ("completed", children.completed),
        ("failed", children.failed),
        ("in doubt", children.in_doubt),
        ("undone", children.undone),
    ];
    for (word, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(line, ", {count} {word}");
    }
    for child in children.at_work.iter().take(CHILDREN_NAMED_MAX) {
        let _ = write!(line, "\n│     ▶ {:>5}  {}", child.child, child.saga_id);
    }
    for child in children.failures.iter().take(CHILDREN_NAMED_MAX) {
        let _ = write!(
            line,
            "\n│     ✗ {:>5}  {}  {}: {}",
            child.child, child.saga_id, child.error.code, child.error.message
        );
    }
    line
}

/// One saga on one line, for a list.
pub fn summary_line(summary: &SagaSummary) -> String {
    let mut line = format!(
        "{}  {:<12}  {:<28}  {}",
        summary.saga_id,
        summary.status.as_str(),
        format!("{}@{}", summary.definition, summary.version),
        time(summary.created_at),
    );
    if let Some(waiting) = &summary.waiting_for {
        let _ = write!(line, "  {waiting}");
    }
    line
}

/// How many sagas there are: a line for each definition, and one for all.
pub fn counts(counts: &SagaCounts) -> String {
    let line = |name: &str, total: u64, statuses: &[StatusCount]| {
        let mut line = format!("{name:<32}  {total:>10}");
        for of in statuses.iter().filter(|of| of.count > 0) {
            let _ = write!(line, "  {} {}", of.status.as_str(), of.count);
            if of.paused > 0 {
                let _ = write!(line, " ({} paused)", of.paused);
            }
        }
        line.push('\n');
        line
    };
    let each = counts.definitions.iter().map(|of| line(&of.definition, of.total, &of.statuses));
    let mut text: String = each.collect();
    text.push_str(&line("all", counts.total, &counts.statuses));
    if !counts.complete {
        text.push_str("sagas of earlier versions are still being added\n");
    }
    text
}

/// What an operator's act did, on one line.
pub fn operated_line(operated: &Operated) -> String {
    let step = operated.step.as_deref().map(|step| format!(" {step} of")).unwrap_or_default();
    let left = match operated.children_left {
        0 => String::new(),
        left => format!("; {left} of its children are at work still and go on"),
    };
    format!(
        "{}{step} saga {}: done at {}, fact {} of its history{left}",
        operated.verb.as_str(),
        operated.saga_id,
        time(operated.at),
        operated.sequence
    )
}

/// What became of a signal, on one line.
pub fn receipt_line(receipt: &SignalReceipt) -> String {
    let effect = match receipt.effect {
        SignalEffect::Taken => "its step goes on",
        SignalEffect::Kept => "kept until its step is reached",
    };
    format!(
        "signal {} of saga {}: {effect}, given at {}, fact {} of its history",
        receipt.signal,
        receipt.saga_id,
        time(receipt.at),
        receipt.sequence
    )
}

/// What a cancel would do: the sentence, then the steps in order.
pub fn preview(preview: &CompensationPreview) -> String {
    let mut text = format!("{}  {}\n{}\n", preview.saga_id, preview.status.as_str(), preview.summary);
    for step in &preview.steps {
        let action = match step.action {
            UndoAction::Undo => "undo",
            UndoAction::CancelChildren => "cancel the children of",
            UndoAction::Waive => "leave",
            UndoAction::None => "cannot undo",
        };
        let _ = write!(text, "↩ {} {action} {}", step.order, step.step);
        if step.if_it_happened {
            text.push_str(", if it happened");
        }
        if let Some(reason) = &step.reason {
            let _ = write!(text, ": {reason}");
        }
        let _ = writeln!(text, "  {}", step.input);
    }
    if let CancelPreview::Forward { definition, forward_saga_id, input, .. } = &preview.cancel {
        let _ = writeln!(text, "→ start {definition} as {forward_saga_id}  {input}");
    }
    if !preview.irreversible.is_empty() {
        let _ = writeln!(text, "stays as it is: {}", preview.irreversible.join(", "));
    }
    text
}

/// One fact on one line.
pub fn history_line(entry: &HistoryEntry) -> String {
    let step = entry.step.as_deref().map(|step| format!("  {step}")).unwrap_or_default();
    format!("{:>4}  {}  {}{step}  {}", entry.sequence, time(entry.at), entry.event, entry.data)
}

const fn mark(status: StepStatus) -> char {
    match status {
        StepStatus::Pending => '·',
        StepStatus::Skipped => '-',
        StepStatus::Running | StepStatus::Undoing => '▶',
        StepStatus::Queued | StepStatus::Waiting | StepStatus::BackingOff => '…',
        StepStatus::Unknown => '?',
        StepStatus::Succeeded => '✓',
        StepStatus::Failed => '✗',
        StepStatus::Undone => '↩',
        StepStatus::Stuck => '!',
    }
}

const fn word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "pending",
        StepStatus::Skipped => "skipped",
        StepStatus::Queued => "queued",
        StepStatus::Running => "running",
        StepStatus::Waiting => "waiting",
        StepStatus::BackingOff => "backing off",
        StepStatus::Unknown => "in doubt",
        StepStatus::Succeeded => "succeeded",
        StepStatus::Failed => "failed",
        StepStatus::Undoing => "undoing",
        StepStatus::Undone => "undone",
        StepStatus::Stuck => "stuck",
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn span(delta: TimeDelta) -> String {
    let milliseconds = delta.num_milliseconds().max(0);
    if milliseconds < 10_000 { format!("{milliseconds} ms") } else { format!("{:.1} s", milliseconds as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_on_one_line() {
        let step: StepView = serde_json::from_value(serde_json::json!({
            "name": "pay", "action": "call", "call": "payment.capture@1", "status": "backing_off", "attempt": 3,
            "error": {"code": "gateway_unreachable", "message": "The gateway does not answer."},
            "started_at": "2026-11-21T10:00:00Z", "ended_at": null, "until": "2026-11-21T10:00:05Z"
        }))
        .expect("a step");
        assert_eq!(
            step_line(&step, 7),
            "… pay      backing off   2026-11-21T10:00:00.000Z  attempt 3  until 2026-11-21T10:00:05.000Z  \
             gateway_unreachable: The gateway does not answer."
        );
    }
}
