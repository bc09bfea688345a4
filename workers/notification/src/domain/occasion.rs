//! The event a message is about, told in its own time zone and in the reader's language.

use chrono::{DateTime, Datelike, Offset, Utc};
use chrono_tz::{OffsetName, Tz};

use crate::domain::locale::Locale;

/// An event with its own time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    title: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    timezone: Tz,
}

/// Why an event cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OccasionError {
    /// Not a name of the IANA time zone database.
    #[error("the event's time zone is not one of the IANA database, such as Europe/Paris")]
    Timezone,
    /// It ends before it starts.
    #[error("the event ends before it starts")]
    Backwards,
}

impl Occasion {
    /// Checks what was given.
    ///
    /// # Errors
    /// [`OccasionError`].
    pub fn new(
        title: &str,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        timezone: &str,
    ) -> Result<Self, OccasionError> {
        let timezone = timezone.parse().map_err(|_| OccasionError::Timezone)?;
        if ends_at < starts_at {
            return Err(OccasionError::Backwards);
        }
        Ok(Self { title: plain_line(title), starts_at, ends_at, timezone })
    }

    /// What it is called, on one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// When it starts.
    pub const fn starts_at(&self) -> DateTime<Utc> {
        self.starts_at
    }

    /// When it ends.
    pub const fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }

    /// When it is, in one phrase: local times with the zone's abbreviation and offset, both again where they change.
    pub fn when(&self, locale: Locale) -> String {
        let starts = self.starts_at.with_timezone(&self.timezone);
        let ends = self.ends_at.with_timezone(&self.timezone);
        let (first_day, last_day) = (day(&starts, locale), day(&ends, locale));
        let (from, to) = (starts.format("%H:%M"), ends.format("%H:%M"));
        let (zone_from, zone_to) = (zone(&starts), zone(&ends));
        let one_day = starts.date_naive() == ends.date_naive() && zone_from == zone_to;
        match (locale, one_day) {
            (Locale::En, true) => format!("{first_day}, {from} to {to} {zone_to}"),
            (Locale::Fr, true) => format!("{first_day}, de {from} à {to} {zone_to}"),
            (Locale::En, false) => format!("{first_day}, {from} {zone_from} to {last_day}, {to} {zone_to}"),
            (Locale::Fr, false) => format!("du {first_day}, {from} {zone_from} au {last_day}, {to} {zone_to}"),
        }
    }
}

/// A text on one line: what breaks lines, or does worse in a header, becomes a space.
pub fn plain_line(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

const WEEKDAYS_EN: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const WEEKDAYS_FR: [&str; 7] = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"];
const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_FR: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

fn day(time: &DateTime<Tz>, locale: Locale) -> String {
    let (weekdays, months) = match locale {
        Locale::En => (WEEKDAYS_EN, MONTHS_EN),
        Locale::Fr => (WEEKDAYS_FR, MONTHS_FR),
    };
    let weekday = weekdays[time.weekday().num_days_from_monday() as usize];
    let month = months[time.month0() as usize];
    let day = match (locale, time.day()) {
        (Locale::Fr, 1) => "1er".to_owned(),
        (Locale::En | Locale::Fr, day) => day.to_string(),
    };
    format!("{weekday} {day} {month} {}", time.year())
}

/// `CEST (UTC+02:00)`; zones without an abbreviation in letters show their offset alone.
fn zone(time: &DateTime<Tz>) -> String {
    let offset = time.offset().fix().to_string();
    match time.offset().abbreviation().filter(|name| name.chars().all(|c| c.is_ascii_alphabetic())) {
        Some("UTC") => "UTC".to_owned(),
        Some(name) => format!("{name} (UTC{offset})"),
        None => format!("UTC{offset}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_where_the_event_is() {
        for (starts, ends, zone, en, fr) in [
            (
                "2026-05-14T07:00:00Z",
                "2026-05-14T15:30:00Z",
                "Europe/Paris",
                "Thursday 14 May 2026, 09:00 to 17:30 CEST (UTC+02:00)",
                "jeudi 14 mai 2026, de 09:00 à 17:30 CEST (UTC+02:00)",
            ),
            (
                "2027-01-31T23:30:00Z",
                "2027-02-01T10:00:00Z",
                "Europe/Paris",
                "Monday 1 February 2027, 00:30 to 11:00 CET (UTC+01:00)",
                "lundi 1er février 2027, de 00:30 à 11:00 CET (UTC+01:00)",
            ),
            (
                // Over the night in which the clocks go back.
                "2026-10-24T20:00:00Z",
                "2026-10-25T04:00:00Z",
                "Europe/Paris",
                "Saturday 24 October 2026, 22:00 CEST (UTC+02:00) to Sunday 25 October 2026, 05:00 CET (UTC+01:00)",
                "du samedi 24 octobre 2026, 22:00 CEST (UTC+02:00) au dimanche 25 octobre 2026, 05:00 CET (UTC+01:00)",
            ),
            (
                "2026-08-01T12:00:00Z",
                "2026-08-01T13:00:00Z",
                "America/Sao_Paulo",
                "Saturday 1 August 2026, 09:00 to 10:00 UTC-03:00",
                "samedi 1er août 2026, de 09:00 à 10:00 UTC-03:00",
            ),
            (
                "2026-08-01T12:00:00Z",
                "2026-08-01T13:00:00Z",
                "UTC",
                "Saturday 1 August 2026, 12:00 to 13:00 UTC",
                "samedi 1er août 2026, de 12:00 à 13:00 UTC",
            ),
        ] {
            let at = |text: &str| text.parse().expect("a time");
            let occasion = Occasion::new("x", at(starts), at(ends), zone).expect("valid");
            assert_eq!(occasion.when(Locale::En), en);
            assert_eq!(occasion.when(Locale::Fr), fr);
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let at = |text: &str| text.parse().expect("a time");
        let (early, late) = (at("2026-05-14T07:00:00Z"), at("2026-05-14T08:00:00Z"));
        assert_eq!(Occasion::new("x", early, late, "Europe/Atlantis"), Err(OccasionError::Timezone));
        assert_eq!(Occasion::new("x", late, early, "Europe/Paris"), Err(OccasionError::Backwards));
    }

    #[test]
    fn titles_stay_on_one_line() {
        assert_eq!(plain_line(" Rust\r\nBcc: all@example.org \u{2028}\tDay\0 "), "Rust Bcc: all@example.org Day");
    }
}
