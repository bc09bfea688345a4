//! Number series: one per seller, type and year; without gap or duplicate, in order of time.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::party::Siren;

/// What is numbered. Each kind has a series of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// An invoice, `INV`.
    Invoice,
    /// A credit note, `CN`.
    CreditNote,
    /// A receipt, `RCT`.
    Receipt,
}

impl DocumentKind {
    /// What its numbers start with.
    pub const fn prefix(self) -> &'static str {
        match self {
            DocumentKind::Invoice => "INV",
            DocumentKind::CreditNote => "CN",
            DocumentKind::Receipt => "RCT",
        }
    }
}

/// Which series a document belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// The seller.
    pub seller: Siren,
    /// What is numbered.
    pub kind: DocumentKind,
    /// The year of issue, where the seller is.
    pub year: i32,
}

/// A document's number, such as `INV-2026-000001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentNumber {
    /// What is numbered.
    pub kind: DocumentKind,
    /// The year of issue.
    pub year: i32,
    /// The place in the series, from one.
    pub sequence: u64,
}

impl fmt::Display for DocumentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04}-{:06}", self.kind.prefix(), self.year, self.sequence)
    }
}

/// How far a series has come; stored beside the documents and changed only with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The last number given; zero before the first.
    pub last_sequence: u64,
    /// When it was given.
    pub last_issued_at: Option<DateTime<Utc>>,
}

/// A number and the moment that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The number.
    pub number: DocumentNumber,
    /// Never before the previous document's of the series.
    pub issued_at: DateTime<Utc>,
    /// The day of it, where the seller is.
    pub issue_date: NaiveDate,
}

impl SeriesKey {
    /// The series a document of this kind issued `now` belongs to.
    pub fn at(seller: Siren, kind: DocumentKind, now: DateTime<Utc>, timezone: Tz) -> Self {
        Self { seller, kind, year: now.with_timezone(&timezone).year() }
    }
}

impl Series {
    /// The next number of the series `key`, and the series after it.
    ///
    /// A clock that went back does not put a document before its predecessor: then the predecessor's time is taken.
    #[must_use]
    pub fn next(self, key: SeriesKey, now: DateTime<Utc>, timezone: Tz) -> (Stamp, Series) {
        // Whole milliseconds survive every store and language that reads the document.
        let now = now.trunc_subsecs(3);
        let issued_at = self.last_issued_at.map_or(now, |last| last.max(now));
        let sequence = self.last_sequence + 1;
        let number = DocumentNumber { kind: key.kind, year: key.year, sequence };
        let issue_date = issued_at.with_timezone(&timezone).date_naive();
        (Stamp { number, issued_at, issue_date }, Series { last_sequence: sequence, last_issued_at: Some(issued_at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Tz = Tz::Europe__Paris;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn next(series: Series, now: &str) -> (Stamp, Series) {
        let key = SeriesKey::at(Siren::EXAMPLE, DocumentKind::Invoice, at(now), PARIS);
        series.next(key, at(now), PARIS)
    }

    #[test]
    fn numbers_are_dense_and_times_never_go_back() {
        let mut series = Series::default();
        let mut stamps = Vec::new();
        // The third clock reading is behind the second.
        for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:00:05Z", "2026-03-01T10:00:01Z", "2026-03-01T10:00:06Z"] {
            let (stamp, after) = next(series, now);
            stamps.push((stamp.number.to_string(), stamp.issued_at));
            series = after;
        }
        assert_eq!(
            stamps,
            [
                ("INV-2026-000001".to_owned(), at("2026-03-01T10:00:00Z")),
                ("INV-2026-000002".to_owned(), at("2026-03-01T10:00:05Z")),
                ("INV-2026-000003".to_owned(), at("2026-03-01T10:00:05Z")),
                ("INV-2026-000004".to_owned(), at("2026-03-01T10:00:06Z")),
            ]
        );
    }

    #[test]
    fn the_year_is_that_of_the_seller() {
        for (now, year, date) in [
            ("2026-12-31T22:59:59Z", 2026, "2026-12-31"),
            ("2026-12-31T23:00:00Z", 2027, "2027-01-01"),
            ("2026-06-30T22:00:00Z", 2026, "2026-07-01"),
        ] {
            let key = SeriesKey::at(Siren::EXAMPLE, DocumentKind::Invoice, at(now), PARIS);
            assert_eq!(key.year, year, "{now}");
            assert_eq!(Series::default().next(key, at(now), PARIS).0.issue_date.to_string(), date, "{now}");
        }
    }

    #[test]
    fn each_kind_has_its_prefix_and_long_series_go_on() {
        for (kind, sequence, text) in [
            (DocumentKind::Invoice, 1, "INV-2026-000001"),
            (DocumentKind::CreditNote, 42, "CN-2026-000042"),
            (DocumentKind::Receipt, 999_999, "RCT-2026-999999"),
            (DocumentKind::Invoice, 1_000_000, "INV-2026-1000000"),
        ] {
            assert_eq!(DocumentNumber { kind, year: 2026, sequence }.to_string(), text);
        }
    }
}
