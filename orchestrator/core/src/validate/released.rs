//! Released documents are frozen: sagas that run are pinned to what their definition and its contracts said.

use std::collections::BTreeMap;

use amends_schemas::contract::{ContractName, ContractRegistry};

use super::finding::Finding;
use super::hash::contract_hash;
use crate::definition::{DefinitionLibrary, DefinitionRef};

/// What is wrong between documents and the list of those that were released, which `file` holds: a JSON object from `name@version` of
/// definitions and `context.step@version` of contracts to content hash. A released one may not change or vanish, and each there is must
/// stand on the list: each definition of `library`, and each of `contracts` that `beside` says the list speaks of. A list that names no
/// contract is of the time before they were frozen, and says nothing of them.
pub fn check_released(
    file: &str,
    released: &str,
    library: &DefinitionLibrary,
    contracts: &ContractRegistry,
    beside: impl Fn(&ContractName) -> bool,
) -> Vec<Finding> {
    let released: BTreeMap<String, String> = match serde_json::from_str(released) {
        Ok(released) => released,
        Err(error) => {
            let message = format!("this is no JSON object from `name@version` to hash: {error}");
            return vec![finding(file, error.line(), "bad_released", message)];
        }
    };
    let freezes_contracts = released.keys().any(|reference| as_contract(reference).is_some());
    let definitions = library.iter().map(|definition| {
        let DefinitionRef { hash, .. } = &definition.reference;
        (definition.reference.to_string(), hash.to_string())
    });
    let contracts = contracts
        .iter()
        .map(|contract| (&contract.contract, contract_hash(contract)))
        .filter(|(name, _)| released.contains_key(&name.to_string()) || (freezes_contracts && beside(name)))
        .map(|(name, hash)| (name.to_string(), hash));
    let there: BTreeMap<String, String> = definitions.chain(contracts).collect();
    let mut findings = Vec::new();
    for (reference, hash) in &released {
        match there.get(reference) {
            Some(now) if now == hash => {}
            Some(now) => findings.push(finding(file, 1, "released_changed", changed(reference, hash, now))),
            None => {
                let use_it = if as_contract(reference).is_some() { "call" } else { "run" };
                let message = format!(
                    "{reference} was released and its document is gone, while sagas may still {use_it} it; put it back as it was"
                );
                findings.push(finding(file, 1, "released_missing", message));
            }
        }
    }
    for (reference, hash) in there.iter().filter(|(reference, _)| !released.contains_key(*reference)) {
        let message = format!(
            "{reference} is not released; once it is as it shall be, release it by adding `\"{reference}\": \"{hash}\"` here: \
             from then on it is frozen"
        );
        findings.push(finding(file, 1, "not_released", message));
    }
    findings
}

/// Names of definitions have no dot.
fn as_contract(reference: &str) -> Option<ContractName> {
    reference.parse().ok()
}

fn changed(reference: &str, hash: &str, now: &str) -> String {
    let said = |use_it: &str, file: &str, next_file: &str, next: &str| {
        format!(
            "{reference} was released with the hash {hash} and now has {now}, while sagas may still {use_it} it; put `{file}` \
             back as it was and write the change into `{next_file}`, with {next}"
        )
    };
    if let Some(name) = as_contract(reference) {
        let (path, next) = (format!("{}/{}", name.context(), name.step()), name.version().saturating_add(1));
        let next_name = format!("`\"contract\": \"{}.{}@{next}\"`", name.context(), name.step());
        return said("call", &format!("{path}.v{}.json", name.version()), &format!("{path}.v{next}.json"), &next_name);
    }
    let (name, version) = reference.split_once('@').unwrap_or((reference, ""));
    let next = version.parse::<u32>().unwrap_or_default().saturating_add(1);
    said("run", &format!("{name}/v{version}.yaml"), &format!("{name}/v{next}.yaml"), &format!("`version: {next}`"))
}

fn finding(file: &str, line: usize, code: &'static str, message: String) -> Finding {
    Finding { file: file.to_owned(), line: line.max(1), column: 1, code, message }
}
