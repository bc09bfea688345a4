//! Released documents are frozen: sagas that run are pinned to what they said.

use std::collections::BTreeMap;

use super::finding::Finding;
use crate::definition::DefinitionLibrary;

/// What is wrong between the definitions of a library and the list of those that were released, which `file` holds: a JSON object
/// from `name@version` to content hash. A released one may not change or vanish, and each there is must stand on the list.
pub fn check_released(file: &str, released: &str, library: &DefinitionLibrary) -> Vec<Finding> {
    let released: BTreeMap<String, String> = match serde_json::from_str(released) {
        Ok(released) => released,
        Err(error) => {
            let message = format!("this is no JSON object from `name@version` to hash: {error}");
            return vec![finding(file, error.line(), "bad_released", message)];
        }
    };
    let there: BTreeMap<String, &str> =
        library.iter().map(|definition| (definition.reference.to_string(), &*definition.reference.hash)).collect();
    let mut findings = Vec::new();
    for (reference, hash) in &released {
        match there.get(reference) {
            Some(now) if now == hash => {}
            Some(now) => findings.push(finding(file, 1, "released_changed", changed(reference, hash, now))),
            None => {
                let message = format!(
                    "{reference} was released and its document is gone, while sagas may still run it; put it back as it was"
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

fn changed(reference: &str, hash: &str, now: &str) -> String {
    let (name, version) = reference.split_once('@').unwrap_or((reference, ""));
    let next = version.parse::<u32>().unwrap_or_default().saturating_add(1);
    format!(
        "{reference} was released with the hash {hash} and now has {now}, while sagas may still run it; put `{name}/v{version}.yaml` \
         back as it was and write the change into `{name}/v{next}.yaml`, with `version: {next}`"
    )
}

fn finding(file: &str, line: usize, code: &'static str, message: String) -> Finding {
    Finding { file: file.to_owned(), line: line.max(1), column: 1, code, message }
}
