//! What is known of a saga that ran.

use std::collections::{BTreeMap, BTreeSet};

use amends_schemas::command::{Operation, StepError};
use amends_schemas::ids::SagaId;
use amends_schemas::saga::HistoryEntry;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::definition::{Definition, DefinitionRef};

/// A saga that ran, as far as its history tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub(super) saga_id: SagaId,
    pub(super) started_at: DateTime<Utc>,
    pub(super) input: Value,
    pub(super) tags: BTreeSet<String>,
    /// By step.
    pub(super) results: BTreeMap<String, Recorded>,
    /// By name of the signal.
    pub(super) signals: BTreeMap<String, Recorded>,
    /// By step: what an operator has given it.
    pub(super) edited: BTreeMap<String, Value>,
    /// What it answered, when it has completed.
    pub(super) completed: Option<Value>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recorded {
    /// It happened.
    Succeeded { outcome: Option<String>, output: Value },
    /// It did not.
    Failed(StepError),
    /// An operator passed it over.
    PassedOver,
}

/// Why a history cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It does not begin with the saga's start; it may have been trimmed.
    #[error("its history does not begin with its start; it may have been trimmed")]
    NoStart,
    /// It ran another document than the old one.
    #[error("it ran {ran} with the hash {hash}, which is another document")]
    OtherDefinition {
        /// What it ran.
        ran: String,
        /// Its content hash.
        hash: String,
    },
    /// A fact cannot be read.
    #[error("fact {sequence} of its history, `{event}`, cannot be read: {reason}")]
    Unreadable {
        /// Which.
        sequence: u64,
        /// Its name.
        event: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Played under the definition that it ran, it does not end as it did: a fault of the rehearsal, which then says nothing.
    #[error("played under its own definition it ends otherwise than it did ({end}); this is a fault of the rehearsal")]
    Unfaithful {
        /// How it would.
        end: String,
    },
}

#[derive(Deserialize)]
struct Started {
    definition: DefinitionRef,
    input: Value,
    #[serde(default)]
    tags: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Succeeded {
    outcome: Option<String>,
    #[serde(default)]
    output: Value,
}

#[derive(Deserialize)]
struct Failed {
    error: StepError,
}

#[derive(Deserialize)]
struct PassedOver {
    operation: Operation,
}

#[derive(Deserialize)]
struct Signalled {
    signal: String,
    outcome: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Edited {
    input: Value,
}

#[derive(Deserialize)]
struct Completed {
    output: Value,
}

#[derive(Deserialize)]
struct Rewound {
    /// By name.
    steps: Vec<String>,
}

impl Recording {
    /// Reads the history of a saga that ran `old`.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(old: &Definition, saga_id: SagaId, history: &[HistoryEntry]) -> Result<Self, RecordingError> {
        let first = history.first().filter(|first| first.event == "saga_started").ok_or(RecordingError::NoStart)?;
        let started: Started = data(first)?;
        if started.definition.hash != old.reference.hash {
            let ran = started.definition.to_string();
            return Err(RecordingError::OtherDefinition { ran, hash: started.definition.hash.to_string() });
        }
        let mut recording = Self {
            saga_id,
            started_at: first.at,
            input: started.input,
            tags: started.tags,
            results: BTreeMap::new(),
            signals: BTreeMap::new(),
            edited: BTreeMap::new(),
            completed: None,
        };
        for entry in history {
            recording.take(entry)?;
        }
        Ok(recording)
    }

    /// What a fact adds. The last word on a step counts: an operator may have had it done anew.
    fn take(&mut self, entry: &HistoryEntry) -> Result<(), RecordingError> {
        let step = entry.step.clone();
        match (entry.event.as_str(), step) {
            ("step_succeeded", Some(step)) => {
                let Succeeded { outcome, output } = data(entry)?;
                self.results.insert(step, Recorded::Succeeded { outcome, output });
            }
            ("step_failed" | "step_interrupted", Some(step)) => {
                self.results.insert(step, Recorded::Failed(data::<Failed>(entry)?.error));
            }
            ("step_passed_over", Some(step)) => match data::<PassedOver>(entry)?.operation {
                Operation::Do | Operation::Probe => {
                    self.results.insert(step, Recorded::PassedOver);
                }
                // The step itself happened.
                Operation::Undo => {}
            },
            ("input_edited", Some(step)) => {
                self.edited.insert(step, data::<Edited>(entry)?.input);
            }
            ("signal_received", _) => {
                let Signalled { signal, outcome, data } = data(entry)?;
                self.signals.insert(signal, Recorded::Succeeded { outcome, output: data });
            }
            ("saga_completed", _) => self.completed = Some(data::<Completed>(entry)?.output),
            ("rewound", _) => {
                for step in data::<Rewound>(entry)?.steps {
                    self.results.remove(&step);
                    // An edited input is forgotten, too: the step is given what the definition says again.
                    self.edited.remove(&step);
                }
            }
            // No other fact says how a step ended.
            _ => {}
        }
        Ok(())
    }
}

fn data<T: for<'de> Deserialize<'de>>(entry: &HistoryEntry) -> Result<T, RecordingError> {
    T::deserialize(&entry.data).map_err(|error| RecordingError::Unreadable {
        sequence: entry.sequence,
        event: entry.event.clone(),
        reason: error.to_string(),
    })
}
