//! Schedules: which times there are, which are due, and what people may do.

mod due;
mod operate;
mod timetable;

use chrono::{DateTime, Utc};

/// A time of the table.
fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == "2026-01-01T00:00".len() { format!("{text}:00Z") } else { format!("{text}Z") };
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn all(texts: &[&str]) -> Vec<DateTime<Utc>> {
    texts.iter().map(|text| at(text)).collect()
}
