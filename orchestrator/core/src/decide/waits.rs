//! Steps that wait: for a signal, which may come before its step, more than once or too late, and for a time.

use amends_schemas::command::StepError;
use amends_schemas::limits::{NAME_BYTES_MAX, REASON_BYTES_MAX};
use amends_schemas::problem::Problem;
use amends_schemas::signal::{SignalEffect, SignalReceipt, SignalSaga};
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::turn::{Turn, later};
use crate::accept::check_signal;
use crate::definition::{Await, Sleep};
use crate::event::Fact;
use crate::state::{Phase, SagaState, Signal};

/// How far a local time that does not exist (a clock was put forward) is looked for ahead; no clock is put forward further.
const CLOCK_CHANGE_MAX: TimeDelta = TimeDelta::hours(25);

impl Turn<'_> {
    /// The step finds its signal, or waits for it. Whether that settles it at once.
    pub(super) fn begin_await(&mut self, index: usize, awaited: &Await) -> bool {
        if let Some(signal) = self.state.signals.get(&*awaited.signal) {
            let (outcome, data) = (signal.outcome.clone(), signal.data.clone());
            self.record(Fact::StepSucceeded { step: index, outcome, output: data, pivot: false });
            return true;
        }
        let until = awaited.timeout.map(|timeout| later(self.now, timeout));
        self.record(Fact::WaitStarted { step: index, until });
        false
    }

    /// The step looks up its time and waits for it. Whether that settles it at once.
    pub(super) fn begin_sleep(&mut self, index: usize, sleep: &Sleep) -> bool {
        match end_of(sleep, self.state, self.now) {
            Ok(until) if until <= self.now => {
                self.record(Fact::StepSucceeded { step: index, outcome: None, output: Value::Null, pivot: false });
                true
            }
            Ok(until) => {
                self.record(Fact::WaitStarted { step: index, until: Some(until) });
                false
            }
            Err(message) => {
                self.failed(index, StepError::new("bad_time", message));
                true
            }
        }
    }

    /// A wait is over: a sleep is done, a signal has not come.
    pub(super) fn wait_over(&mut self, index: usize) {
        let Some((step, _)) = self.step(index) else { return };
        let awaited = match &step.action {
            crate::definition::Action::Await(awaited) => Some(awaited),
            crate::definition::Action::Call(_)
            | crate::definition::Action::Sleep(_)
            | crate::definition::Action::Children(_) => None,
        };
        match awaited.map(|awaited| (awaited, &awaited.on_timeout)) {
            None => self.succeed(index, None, Value::Null),
            Some((_, Some(outcome))) => self.succeed(index, Some(outcome.clone()), Value::Null),
            Some((awaited, None)) => {
                let message = format!("The signal `{}` has not come in time.", awaited.signal);
                self.fail(index, StepError::new("timed_out", message));
            }
        }
    }

    /// Takes a signal and answers it. The first of its name counts.
    pub(super) fn signal(&mut self, request: SignalSaga) {
        self.decision.signalled = Some(self.signalled(request));
    }

    fn signalled(&mut self, request: SignalSaga) -> Result<SignalReceipt, Problem> {
        if request.by.len() > REASON_BYTES_MAX {
            return Err(Problem::invalid("reason_too_long", format!("`by` has at most {REASON_BYTES_MAX} bytes")));
        }
        let Some((index, awaited)) = self.definition.awaiting(&request.signal) else {
            let name: String = request.signal.chars().take(NAME_BYTES_MAX).collect();
            let reference = &self.definition.reference;
            return Err(Problem::not_found("unknown_signal", format!("{reference} waits for no signal `{name}`")));
        };
        if let Some(given) = self.state.signals.get(&request.signal) {
            return repeated(self.state, &request, given);
        }
        let phase = self.state.steps.get(index).map_or(Phase::Pending, |step| step.phase.clone());
        let late = match phase {
            // One that backs off has been ordered to wait again, once the saga is resumed.
            Phase::Pending | Phase::Waiting { .. } | Phase::BackingOff { .. } => {
                self.state.status.is_final() || self.state.turning_back().is_some()
            }
            Phase::Skipped
            | Phase::Queued { .. }
            | Phase::Children { .. }
            | Phase::Interrupted
            | Phase::InFlight { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived
            | Phase::Stuck { .. } => true,
        };
        if late {
            let status = self.state.status.as_str();
            let why = match self.state.turning_back() {
                // Its step may look as if its turn could still come.
                Some(reason) if !self.state.status.is_final() => {
                    format!("the saga is {status} and turns back ({})", reason.as_str())
                }
                Some(_) | None => {
                    format!("the saga is {status} and its step for `{}` is {}", request.signal, phase.as_str())
                }
            };
            return Err(Problem::conflict("signal_too_late", format!("{why}: nobody waits for this signal any more")));
        }
        check_signal(awaited, request.outcome.as_deref(), &request.data)?;
        let taken = matches!(phase, Phase::Waiting { .. });
        self.record(Fact::SignalReceived {
            signal: request.signal.clone(),
            signal_id: request.signal_id,
            outcome: request.outcome.clone(),
            data: request.data.clone(),
            by: request.by.clone(),
            taken,
        });
        let told = self.state.signals.get(&request.signal).map(|given| receipt(self.state, &request, given));
        if taken {
            self.succeed(index, request.outcome, request.data);
        }
        told.ok_or_else(|| Problem::internal("signal_undecided", "the signal left no fact"))
    }
}

/// What is said of a signal whose name has been given before.
fn repeated(state: &SagaState, request: &SignalSaga, given: &Signal) -> Result<SignalReceipt, Problem> {
    if given.signal_id != request.signal_id {
        return Err(Problem::conflict(
            "signal_already_given",
            format!("the signal `{}` has been given to this saga before, and the first one counts", request.signal),
        ));
    }
    if given.outcome != request.outcome || given.data != request.data {
        return Err(Problem::conflict(
            "signal_id_reused",
            "this signal id was used before with another content; choose another for another signal",
        ));
    }
    Ok(receipt(state, request, given))
}

fn receipt(state: &SagaState, request: &SignalSaga, given: &Signal) -> SignalReceipt {
    SignalReceipt {
        saga_id: state.saga_id,
        signal: request.signal.clone(),
        signal_id: given.signal_id,
        effect: if given.taken { SignalEffect::Taken } else { SignalEffect::Kept },
        at: given.at,
        sequence: given.sequence,
    }
}

/// When a sleep ends, or why that cannot be said.
fn end_of(sleep: &Sleep, state: &SagaState, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let (at, time_zone, before) = match sleep {
        Sleep::For(duration) => return Ok(later(now, *duration)),
        Sleep::Until { at, time_zone, before } => (at, time_zone, before),
    };
    let Some(text) = at.look(state).and_then(Value::as_str) else {
        return Err("There is no time to sleep until where the definition points at.".to_owned());
    };
    let zone = match time_zone {
        None => Tz::UTC,
        Some(zone) => {
            let name = zone.look(state).and_then(Value::as_str).unwrap_or_default();
            name.parse()
                .map_err(|_| format!("`{name}` is no time zone; it takes an IANA name such as Europe/Berlin."))?
        }
    };
    let at = instant(text, zone).ok_or_else(|| {
        format!("`{text}` is no time to sleep until; it takes RFC 3339, or a local time such as 2026-12-24T18:00:00.")
    })?;
    let before = TimeDelta::from_std(*before).unwrap_or_default();
    Ok(at.checked_sub_signed(before).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

/// A time with an offset (RFC 3339), or a local time in a zone: one that happens twice is taken the first time, one that does not
/// exist because clocks were put forward is the moment at which they were.
fn instant(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    let local: NaiveDateTime = text.parse().ok()?;
    if let Some(at) = zone.from_local_datetime(&local).earliest() {
        return Some(at.with_timezone(&Utc));
    }
    // The gap's end is the first local time after it, to the minute: no zone changes its clocks at a fraction of one today.
    let mut after = local.date().and_hms_opt(0, 0, 0)?.max(local - TimeDelta::minutes(1));
    while after - local < CLOCK_CHANGE_MAX {
        after += TimeDelta::minutes(1);
        let whole = after - TimeDelta::seconds(i64::from(chrono::Timelike::second(&after)));
        if whole > local
            && let Some(at) = zone.from_local_datetime(&whole).earliest()
        {
            return Some(at.with_timezone(&Utc));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, zone: &str, want: &str) {
        let have = instant(text, zone.parse().expect("a zone"));
        assert_eq!(have.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339()), want, "{text} in {zone}");
    }

    #[test]
    fn local_times_are_read_in_their_zone() {
        check("2026-12-24T18:00:00+01:00", "UTC", "2026-12-24T17:00:00+00:00");
        check("2026-12-24T18:00:00Z", "Europe/Berlin", "2026-12-24T18:00:00+00:00");
        check("2026-12-24T18:00:00", "Europe/Berlin", "2026-12-24T17:00:00+00:00");
        check("2026-07-24T18:00:00", "Europe/Berlin", "2026-07-24T16:00:00+00:00");
        check("tomorrow", "Europe/Berlin", "-");
    }

    #[test]
    fn a_time_that_does_not_exist_is_when_clocks_change_and_one_that_is_twice_is_the_first() {
        check("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:00:00+00:00");
        check("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00+00:00");
        // A whole day was left out.
        check("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00");
    }
}
