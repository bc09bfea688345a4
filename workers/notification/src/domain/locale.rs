//! The languages we write in, and amounts as they are written there.

use amends_schemas::money::Money;
use serde::{Deserialize, Serialize};

/// A language with templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    /// English, also for those whose language we do not write.
    En,
    /// French.
    Fr,
}

impl Locale {
    /// All of them.
    pub const ALL: [Locale; 2] = [Locale::En, Locale::Fr];

    /// As it stands in file names and documents.
    pub const fn code(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Fr => "fr",
        }
    }

    /// The best we have: the language of the tag without its region (`fr-FR` → `fr`), else English.
    pub fn best(tag: Option<&str>) -> Self {
        let language = tag.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        Self::ALL.into_iter().find(|locale| locale.code().eq_ignore_ascii_case(language)).unwrap_or(Locale::En)
    }

    /// An amount with its currency's code, which no reader mistakes for another's.
    pub fn money(self, money: Money) -> String {
        match self {
            Locale::En => money.to_string(),
            Locale::Fr => money.to_string().replace('.', ","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_language_is_found() {
        for (tag, locale) in [
            (None, Locale::En),
            (Some("en"), Locale::En),
            (Some("en-GB"), Locale::En),
            (Some("fr"), Locale::Fr),
            (Some("fr-FR"), Locale::Fr),
            (Some("fr-CA"), Locale::Fr),
            (Some("de-DE"), Locale::En),
            (Some("frx"), Locale::En),
            (Some(""), Locale::En),
        ] {
            assert_eq!(Locale::best(tag), locale, "{tag:?}");
        }
    }

    #[test]
    fn amounts_are_written_as_readers_write_them() {
        let money = serde_json::from_str(r#"{"amount":"1234.50","currency":"EUR"}"#).expect("money");
        assert_eq!(Locale::En.money(money), "1234.50 EUR");
        assert_eq!(Locale::Fr.money(money), "1234,50 EUR");
    }
}
