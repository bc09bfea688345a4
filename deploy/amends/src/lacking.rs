//! Definitions that cannot be run here: they call a contract that is not there, or name a saga that cannot be run. They are left out and
//! told, their sagas are parked, and all others are served: whoever is rolled back, or is the first of many to be replaced, may lack what
//! others have.

use amends_core::definition::{Definition, DefinitionLibrary};
use amends_core::validate::{Finding, check_links};
use amends_schemas::contract::{ContractName, ContractRegistry};
use serde::Deserialize;
use serde_json::Value;

/// One that is left out.
#[derive(Debug, Clone)]
pub struct Lacking {
    /// Where it stands.
    pub file: String,
    /// Which saga.
    pub name: String,
    /// Which version of it.
    pub version: u32,
    /// Why, as a clause.
    pub lacks: String,
}

/// As much of a document as says what it is and calls.
#[derive(Deserialize)]
struct Head {
    saga: String,
    version: u32,
    steps: Value,
}

/// A document in which nothing is wrong but that contracts which it calls are not there.
pub fn without_contracts(
    file: &str,
    text: &str,
    findings: &[Finding],
    contracts: &ContractRegistry,
) -> Option<Lacking> {
    if !findings.iter().all(|found| matches!(found.code, "unknown_contract" | "unknown_contract_version")) {
        return None;
    }
    let Head { saga, version, steps } = serde_saphyr::from_str(text).ok()?;
    let mut missing = Vec::new();
    calls(&steps, &mut missing);
    missing.retain(|name| contracts.get(name).is_none());
    missing.sort();
    missing.dedup();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let lacks = format!("it calls {}, of which there is no contract here", missing.join(" and "));
    (!missing.is_empty()).then(|| Lacking { file: file.to_owned(), name: saga, version, lacks })
}

/// The contracts that steps call, in branches too.
fn calls(steps: &Value, into: &mut Vec<ContractName>) {
    match steps {
        Value::Array(steps) => steps.iter().for_each(|step| calls(step, into)),
        Value::Object(step) => {
            into.extend(step.get("call").and_then(Value::as_str).and_then(|name| name.parse().ok()));
            ["parallel", "steps"].into_iter().filter_map(|key| step.get(key)).for_each(|steps| calls(steps, into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What can be run of `sound`, with what cannot noted: `lacking`, and those that name one of it, which are added there.
///
/// # Errors
/// Whatever else is wrong between them.
pub fn link(mut sound: Vec<(&str, Definition)>, lacking: &mut Vec<Lacking>) -> Result<DefinitionLibrary, Vec<Finding>> {
    let all = library(&sound, &[]);
    let mut findings = Vec::new();
    loop {
        let library = library(&sound, lacking);
        let names_lacking = |definition: &Definition| {
            names(definition).find_map(|(saga, version)| {
                let lacks = library.lacks(saga, version)?;
                Some(format!("it names the saga {saga}, which cannot be run here: {lacks}"))
            })
        };
        let (cut, rest): (Vec<_>, Vec<_>) =
            sound.into_iter().partition(|(_, definition)| names_lacking(definition).is_some());
        sound = rest;
        if cut.is_empty() {
            findings.extend(sound.iter().flat_map(|(file, definition)| check_links(file, definition, &library)));
            return if findings.is_empty() { Ok(library) } else { Err(findings) };
        }
        for (file, definition) in &cut {
            let found = check_links(file, definition, &all);
            let gone = names(definition).filter(|(saga, version)| all.find(saga, *version).is_none());
            let left_out = gone.filter(|(saga, version)| library.lacks(saga, *version).is_some()).count();
            if found.len() > left_out {
                findings.extend(found);
            }
        }
        let cut: Vec<Lacking> = cut
            .iter()
            .filter_map(|(file, definition)| {
                let (name, version) = (definition.reference.name.to_string(), definition.reference.version);
                Some(Lacking { file: (*file).to_owned(), name, version, lacks: names_lacking(definition)? })
            })
            .collect();
        lacking.extend(cut);
    }
}

fn library(sound: &[(&str, Definition)], lacking: &[Lacking]) -> DefinitionLibrary {
    let mut library = DefinitionLibrary::default();
    for (_, definition) in sound {
        // Whether two differ has been looked at.
        let _ = library.add(definition.clone());
    }
    for Lacking { name, version, lacks, .. } in lacking {
        library.note_lacking(name, *version, lacks);
    }
    library
}

/// The sagas that a definition names, with the version it says.
fn names(definition: &Definition) -> impl Iterator<Item = (&str, Option<u32>)> {
    let children = definition.steps.iter().filter_map(|step| step.children());
    let children = children.map(|children| (&*children.saga, children.version));
    children.chain(definition.cancel_with.iter().map(|cancel_with| (&*cancel_with.saga, None)))
}
