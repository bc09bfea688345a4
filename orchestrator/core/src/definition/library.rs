//! The definitions that a process knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Definition, DefinitionRef};

/// The definitions known to a process, every version of each.
#[derive(Debug, Clone, Default)]
pub struct DefinitionLibrary {
    by_name: BTreeMap<String, BTreeMap<u32, Arc<Definition>>>,
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
}
