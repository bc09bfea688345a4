//! The event as a calendar entry (RFC 5545), published (RFC 5546).

use std::fmt::Write as _;

use amends_schemas::ids::RegistrationId;
use chrono::{DateTime, Utc};

use crate::domain::occasion::Occasion;

/// Longest line in octets, its end not counted (RFC 5545, 3.1).
const LINE_OCTETS_MAX: usize = 75;

/// Whether the entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryStatus {
    /// It takes place with this person.
    Confirmed,
    /// It does not, or without this person.
    Cancelled,
}

/// A calendar entry. All entries of one registration have one UID, so that a later one replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry<'a> {
    /// Its UID.
    pub registration_id: RegistrationId,
    /// What and when.
    pub occasion: &'a Occasion,
    /// Whether it stands.
    pub status: EntryStatus,
    /// Who publishes it: an e-mail address.
    pub organizer: &'a str,
    /// When this version was made.
    pub made_at: DateTime<Utc>,
}

impl CalendarEntry<'_> {
    /// Its text, with CRLF line ends.
    pub fn to_text(&self) -> String {
        let (status, sequence) = match self.status {
            EntryStatus::Confirmed => ("CONFIRMED", 0),
            // Above the confirmation's, so that calendars take it for the newer one.
            EntryStatus::Cancelled => ("CANCELLED", 1),
        };
        let lines = [
            "BEGIN:VCALENDAR".to_owned(),
            "VERSION:2.0".to_owned(),
            "PRODID:-//Amends//Notification 1//EN".to_owned(),
            "CALSCALE:GREGORIAN".to_owned(),
            "METHOD:PUBLISH".to_owned(),
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}", self.registration_id),
            format!("DTSTAMP:{}", utc(self.made_at)),
            format!("SEQUENCE:{sequence}"),
            format!("ORGANIZER:mailto:{}", self.organizer),
            format!("DTSTART:{}", utc(self.occasion.starts_at())),
            format!("DTEND:{}", utc(self.occasion.ends_at())),
            format!("SUMMARY:{}", escaped(self.occasion.title())),
            format!("STATUS:{status}"),
            "END:VEVENT".to_owned(),
            "END:VCALENDAR".to_owned(),
        ];
        lines.iter().fold(String::new(), |mut text, line| {
            push_folded(&mut text, line);
            text
        })
    }
}

/// A date-time in UTC (RFC 5545, 3.3.5, form 2).
fn utc(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// A TEXT value (RFC 5545, 3.3.11).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Appends a line, folded so that no part exceeds [`LINE_OCTETS_MAX`] and no character is cut.
fn push_folded(text: &mut String, line: &str) {
    let mut octets = 0;
    for c in line.chars() {
        if octets + c.len_utf8() > LINE_OCTETS_MAX {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(c);
        octets += c.len_utf8();
    }
    write!(text, "\r\n").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(title: &str, status: EntryStatus) -> String {
        let at = |text: &str| text.parse().expect("a time");
        let occasion = Occasion::new(title, at("2026-05-14T07:00:00Z"), at("2026-05-14T15:30:00Z"), "Europe/Paris")
            .expect("valid");
        CalendarEntry {
            registration_id: RegistrationId(Uuid::from_u128(7)),
            occasion: &occasion,
            status,
            organizer: "no-reply@amends.invalid",
            made_at: at("2026-04-01T08:09:10.123Z"),
        }
        .to_text()
    }

    fn unfolded(text: &str) -> String {
        text.replace("\r\n ", "")
    }

    #[test]
    fn a_confirmed_entry_is_golden() {
        assert_eq!(
            entry("Rust; a day, or \\two", EntryStatus::Confirmed),
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Amends//Notification 1//EN\r\nCALSCALE:GREGORIAN\r\n\
             METHOD:PUBLISH\r\nBEGIN:VEVENT\r\nUID:00000000-0000-0000-0000-000000000007\r\n\
             DTSTAMP:20260401T080910Z\r\nSEQUENCE:0\r\nORGANIZER:mailto:no-reply@amends.invalid\r\n\
             DTSTART:20260514T070000Z\r\nDTEND:20260514T153000Z\r\nSUMMARY:Rust\\; a day\\, or \\\\two\r\n\
             STATUS:CONFIRMED\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
    }

    #[test]
    fn a_cancelled_entry_replaces_the_confirmed_one() {
        let text = entry("Rust", EntryStatus::Cancelled);
        assert!(text.contains("STATUS:CANCELLED\r\n") && text.contains("SEQUENCE:1\r\n"), "{text}");
        assert!(text.contains("UID:00000000-0000-0000-0000-000000000007\r\n"), "{text}");
    }

    #[test]
    fn long_lines_are_folded_between_characters() {
        for title in
            ["é".repeat(200), "a".repeat(67), "a".repeat(68), format!("{}🦀{}", "x".repeat(66), "y".repeat(90))]
        {
            let text = entry(&title, EntryStatus::Confirmed);
            for line in text.split("\r\n") {
                assert!(line.len() <= LINE_OCTETS_MAX, "{} octets: {line}", line.len());
            }
            assert!(unfolded(&text).contains(&format!("SUMMARY:{title}\r\n")), "{text}");
        }
    }
}
