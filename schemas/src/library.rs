//! The documents that ship with the product: step contracts and saga definitions, compiled in.

use include_dir::{Dir, include_dir};

use crate::contract::{ContractError, ContractRegistry};

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/contracts");
static SAGAS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sagas");
static EVENTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/events");

/// A document and the path it has under `schemas/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document {
    /// `contracts/payment/capture.v1.json`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All contracts that ship.
pub fn contract_documents() -> Vec<Document> {
    documents(&CONTRACTS, "json")
}

/// All saga definitions that ship.
pub fn saga_documents() -> Vec<Document> {
    documents(&SAGAS, "yaml").into_iter().filter(|document| !is_example(document)).collect()
}

/// Definitions that show one thing each, as `examples/<name>/v<N>.yaml`. They are for people: nothing runs them.
pub fn example_documents() -> Vec<Document> {
    documents(&SAGAS, "yaml").into_iter().filter(is_example).collect()
}

/// The contracts that the examples call. Nobody serves them.
pub fn example_contract_documents() -> Vec<Document> {
    documents(&SAGAS, "json").into_iter().filter(is_example).collect()
}

/// The definitions and contracts that were released, as a JSON object from `name@version` to content hash.
pub const RELEASED: &str = include_str!("../sagas/released.json");

/// The JSON Schema (2020-12) of saga definitions, which editors complete from.
pub const SAGA_SCHEMA: &str = include_str!("../saga.schema.json");

/// The JSON Schemas of all domain events that ship, as `<context>/<Name>.v<N>.json`.
pub fn event_documents() -> Vec<Document> {
    documents(&EVENTS, "json")
}

/// The JSON Schema of a domain event's data, by its CloudEvents type (`events.EventPublished.v1`).
pub fn event_schema(event_type: &str) -> Option<serde_json::Value> {
    let path = format!("{}.json", event_type.replacen('.', "/", 1));
    let document = event_documents().into_iter().find(|document| document.path == path)?;
    serde_json::from_str(document.text).ok()
}

/// The registry of all contracts that ship.
///
/// # Errors
/// [`ContractError`] naming the file; a test keeps this from happening in a release.
pub fn contracts() -> Result<ContractRegistry, ContractError> {
    let mut registry = ContractRegistry::empty();
    for document in contract_documents() {
        registry.add(document.path, document.text)?;
    }
    Ok(registry)
}

fn is_example(document: &Document) -> bool {
    document.path.starts_with("examples/")
}

fn documents(root: &'static Dir<'static>, extension: &str) -> Vec<Document> {
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            if file.path().extension().is_some_and(|have| have == extension)
                && let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8())
            {
                found.push(Document { path, text });
            }
        }
    }
    found.sort_by_key(|document| document.path);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_that_ships_is_valid_and_lies_where_its_name_says() {
        let registry = contracts().expect("all valid");
        let mut paths: Vec<String> = registry
            .iter()
            .map(|c| format!("{}/{}.v{}.json", c.contract.context(), c.contract.step(), c.contract.version()))
            .collect();
        paths.sort();
        assert_eq!(paths, contract_documents().iter().map(|d| d.path.to_owned()).collect::<Vec<_>>());
        assert!(!paths.is_empty());
    }
    #[test]
    fn every_event_schema_that_ships_is_valid_and_found_by_its_type() {
        for document in event_documents() {
            let event_type = document.path.trim_end_matches(".json").replacen('/', ".", 1);
            let schema = event_schema(&event_type).unwrap_or_else(|| panic!("{} is not JSON", document.path));
            jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{}: {error}", document.path));
        }
        assert!(event_schema("events.EventPublished.v1").is_some());
    }
}
