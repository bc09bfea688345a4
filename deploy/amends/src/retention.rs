//! `[retention]` of the configuration: how long what is over is kept. What each setting means stands in `default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use amends_engine::retention::{Keep, RetentionPolicy};
use anyhow::{Context, ensure};
use serde::Deserialize;

/// Shortest time anything is kept: a person who looks after lunch still finds it.
const SHORTEST: Duration = Duration::from_secs(60 * 60);

/// Longest: beyond what any law asks for.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    pub history: String,
    pub sagas: String,
    pub archive: String,
    #[serde(default)]
    pub definitions: BTreeMap<String, DefinitionRetention>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionRetention {
    pub history: Option<String>,
    pub sagas: Option<String>,
}

impl RetentionConfig {
    /// As the engine takes it.
    ///
    /// # Errors
    /// The setting that cannot be, by name.
    pub fn policy(&self) -> anyhow::Result<RetentionPolicy> {
        let default = keep("retention", &self.history, &self.sagas)?;
        let mut definitions = BTreeMap::new();
        for (name, own) in &self.definitions {
            let history = own.history.as_ref().unwrap_or(&self.history);
            let sagas = own.sagas.as_ref().unwrap_or(&self.sagas);
            definitions.insert(name.clone(), keep(&format!("retention.definitions.{name}"), history, sagas)?);
        }
        let archive = (!self.archive.is_empty()).then(|| PathBuf::from(&self.archive));
        Ok(RetentionPolicy { default, definitions, archive })
    }
}

fn keep(section: &str, history: &str, sagas: &str) -> anyhow::Result<Keep> {
    let keep = Keep {
        history: time(&format!("{section}.history"), history)?,
        sagas: time(&format!("{section}.sagas"), sagas)?,
    };
    ensure!(
        keep.sagas >= keep.history,
        "{section}.sagas is {sagas:?} and its history {history:?}: a saga cannot go before its history"
    );
    Ok(keep)
}

fn time(setting: &str, text: &str) -> anyhow::Result<Duration> {
    let read = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
    };
    let time = read()
        .with_context(|| format!("{setting} is {text:?}: write a number of hours or days, such as 36h or 30d"))?;
    ensure!((SHORTEST..=LONGEST).contains(&time), "{setting} is {text:?}, but must be 1h to 36500d");
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(history: &str, sagas: &str, own: DefinitionRetention) -> RetentionConfig {
        let definitions = BTreeMap::from([("registration".to_owned(), own)]);
        RetentionConfig { history: history.into(), sagas: sagas.into(), archive: String::new(), definitions }
    }

    const NOTHING: DefinitionRetention = DefinitionRetention { history: None, sagas: None };

    #[test]
    fn a_definition_sets_what_it_wants_and_has_the_rest_from_above() {
        let own = DefinitionRetention { history: Some("36h".into()), sagas: None };
        let policy = config("30d", "365d", own).policy().expect("sound");
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(policy.of("registration"), Keep { history: hours(36), sagas: hours(365 * 24) });
        assert_eq!(policy.of("another").history, hours(30 * 24));
        assert_eq!(policy.archive, None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let own = |history: &str| DefinitionRetention { history: Some(history.into()), sagas: None };
        for (config, names) in [
            (config("30", "365d", NOTHING), "retention.history"),
            (config("", "365d", NOTHING), "retention.history"),
            (config("30d", "1y", NOTHING), "retention.sagas"),
            (config("0h", "365d", NOTHING), "1h to 36500d"),
            (config("30d", "99999999999999999d", NOTHING), "retention.sagas"),
            (config("30d", "29d", NOTHING), "a saga cannot go before its history"),
            (config("30d", "60d", own("90d")), "retention.definitions.registration.sagas"),
            (config("30d", "60d", own("§")), "retention.definitions.registration.history"),
        ] {
            let error = format!("{:#}", config.policy().expect_err(names));
            assert!(error.contains(names), "{error}");
        }
    }
}
