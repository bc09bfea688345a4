//! Cron expression and time zone, to times.
//!
//! Where clocks are changed, an expression whose hour field begins with `*` runs with the clock: every minute that happens is a time, the
//! hour that happens twice counts twice, the one that is left out not at all. Any other expression names times of day: one that does not
//! happen is a time at the first moment after the gap, one that happens twice is a time once, when it comes first. Vixie cron tells the two
//! apart in the same way.

use amends_schemas::limits::CRON_BYTES_MAX;
use amends_schemas::problem::{FieldError, Problem};
use chrono::{DateTime, Duration, MappedLocalTime, NaiveDateTime, SubsecRound, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Longest stretch of local time that does not happen, in minutes: Samoa once left out a whole day.
const GAP_MINUTES_MAX: i64 = 2 * 24 * 60;

/// How like a known name an unknown one must be to be taken for a slip of the pen.
const LIKENESS_MIN: f64 = 0.8;

/// The fields of an expression, as people call them; one of five fields begins with the second.
const FIELDS: [&str; 6] = ["second", "minute", "hour", "day of month", "month", "day of week"];

/// When a schedule is due: all times are whole seconds.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
    /// Whether the hour field begins with `*`.
    runs_with_the_clock: bool,
}

impl Timetable {
    /// Reads an expression and the IANA name of a zone.
    ///
    /// # Errors
    /// `invalid_cron`, also for one that names no time at all (30 February), and `unknown_time_zone`.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self, Problem> {
        let zone: Tz = time_zone.parse().map_err(|_| unknown_zone(time_zone))?;
        let fields: Vec<&str> = cron.split_whitespace().collect();
        if cron.len() > CRON_BYTES_MAX {
            return Err(invalid_cron(format!("it has more than {CRON_BYTES_MAX} bytes")));
        }
        let hour = match fields.len() {
            5 => fields[1],
            6 => fields[2],
            count => {
                return Err(invalid_cron(format!(
                    "it has {count} fields; write five (minute, hour, day of month, month, day of week), or six with the second before them"
                )));
            }
        };
        let runs_with_the_clock = hour.starts_with('*');
        let cron = parser().parse(cron).map_err(|error| invalid_cron(blame(&fields, &error.to_string())))?;
        let timetable = Self { cron, zone, runs_with_the_clock };
        if timetable.next_after(DateTime::UNIX_EPOCH).is_none() {
            return Err(invalid_cron("it names a day that no month has"));
        }
        Ok(timetable)
    }

    /// The first time after `instant`; none when there is none in the next thousands of years.
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instant = instant.trunc_subsecs(0).with_timezone(&self.zone);
        if self.runs_with_the_clock {
            return self.cron.find_next_occurrence(&instant, false).ok().map(|found| found.to_utc());
        }
        let mut local = instant.naive_local();
        loop {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            // Within an hour that happens again, times of day that come next on the clock have been.
            if let Some(found) = self.happens_at(local).filter(|found| *found > instant) {
                return Some(found.to_utc());
            }
        }
    }

    /// The last time at or before `instant`; none when there is none since the year one.
    pub fn last_until(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instant = instant.trunc_subsecs(0).with_timezone(&self.zone);
        if self.runs_with_the_clock {
            return self.cron.find_previous_occurrence(&instant, true).ok().map(|found| found.to_utc());
        }
        let mut local = instant.naive_local();
        if let MappedLocalTime::Ambiguous(first, second) = self.zone.from_local_datetime(&local) {
            // The second time round, later times of day have been as well.
            local += second.to_utc() - first.to_utc();
        }
        let mut inclusive = true;
        loop {
            local = self.cron.find_previous_occurrence(&local, inclusive).ok()?;
            inclusive = false;
            if let Some(found) = self.happens_at(local).filter(|found| *found <= instant) {
                return Some(found.to_utc());
            }
        }
    }

    /// When a time of day happens, the first time; where it does not, the first moment after the gap.
    fn happens_at(&self, local: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.zone.from_local_datetime(&local) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => Some(instant),
            // Clocks are changed at whole minutes.
            MappedLocalTime::None => {
                let minute = local.with_second(0)?;
                (1..=GAP_MINUTES_MAX).find_map(|minutes| {
                    self.zone.from_local_datetime(&(minute + Duration::minutes(minutes))).earliest()
                })
            }
        }
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// Says which field is wrong: the first that is so on its own.
fn blame(fields: &[&str], message: &str) -> String {
    let names = &FIELDS[FIELDS.len() - fields.len()..];
    let wrong = fields.iter().zip(names).enumerate().find_map(|(place, (field, name))| {
        let mut alone = vec!["*"; fields.len()];
        alone[place] = field;
        let error = parser().parse(&alone.join(" ")).err()?;
        Some(format!("the {name} cannot be `{field}` ({error})"))
    });
    wrong.unwrap_or_else(|| message.to_owned())
}

fn invalid_cron(what: impl Into<String>) -> Problem {
    let what = what.into();
    Problem::invalid("invalid_cron", format!("the cron expression is not one: {what}"))
        .with_errors(vec![FieldError { pointer: "/cron".to_owned(), message: what }])
}

fn unknown_zone(name: &str) -> Problem {
    let name: String = name.chars().take(64).collect();
    let closest = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| (strsim::jaro_winkler(&zone.name().to_lowercase(), &name.to_lowercase()), zone.name()))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    let advice = match closest {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => "write an IANA name such as `Europe/Berlin` or `UTC`".to_owned(),
    };
    Problem::invalid("unknown_time_zone", format!("`{name}` is no time zone; {advice}"))
        .with_errors(vec![FieldError { pointer: "/time_zone".to_owned(), message: advice }])
}
