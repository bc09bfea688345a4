//! The definitions that a process knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Definition, DefinitionRef};

/// The definitions known to a process, every version of each.
#[derive(Debug, Clone, Default)]
pub struct DefinitionLibrary {
    by_name: BTreeMap<String, BTreeMap<u32, Arc<Definition>>>,
    /// Those that are there as documents but cannot be run here, and what they lack, in words.
    lacking: BTreeMap<String, BTreeMap<u32, Arc<str>>>,
}

impl DefinitionLibrary {
    /// Adds one. Adding the same content again changes nothing.
    ///
    /// # Errors
    /// The definition already known under this name and version, when its content differs.
    pub fn add(&mut self, definition: Definition) -> Result<Arc<Definition>, Arc<Definition>> {
        let versions = self.by_name.entry(definition.reference.name.to_string()).or_default();
        if let Some(known) = versions.get(&definition.reference.version) {
            return if known.reference.hash == definition.reference.hash {
                Ok(Arc::clone(known))
            } else {
                Err(Arc::clone(known))
            };
        }
        let definition = Arc::new(definition);
        versions.insert(definition.reference.version, Arc::clone(&definition));
        Ok(definition)
    }

    /// One version, or the newest.
    pub fn find(&self, name: &str, version: Option<u32>) -> Option<&Arc<Definition>> {
        let versions = self.by_name.get(name)?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, definition)| definition),
        }
    }

    /// The very definition a saga was started on; `None` when this binary lacks it or has other content.
    pub fn resolve(&self, reference: &DefinitionRef) -> Option<&Arc<Definition>> {
        self.find(&reference.name, Some(reference.version)).filter(|found| found.reference.hash == reference.hash)
    }

    /// All, by name and version.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.by_name.values().flat_map(BTreeMap::values)
    }

    /// Notes one that cannot be run here, and what it lacks, as a clause: `contract a.b@1 is missing`.
    pub fn note_lacking(&mut self, name: &str, version: u32, lacks: &str) {
        self.lacking.entry(name.to_owned()).or_default().insert(version, lacks.into());
    }

    /// What one version, or the newest that there is a document of, lacks; `None` when it can be run or there is none.
    pub fn lacks(&self, name: &str, version: Option<u32>) -> Option<&str> {
        let versions = self.lacking.get(name)?;
        let Some(version) = version else {
            let (newest, lacks) = versions.last_key_value()?;
            let runs = self.find(name, None).map(|definition| definition.reference.version);
            return (runs < Some(*newest)).then_some(lacks);
        };
        versions.get(&version).map(|lacks| &**lacks)
    }
}
