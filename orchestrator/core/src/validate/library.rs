//! Several documents together: what each alone cannot know.

use std::collections::BTreeMap;

use amends_schemas::contract::ContractRegistry;

use super::document::parse;
use super::finding::Finding;
use super::links::check_links;
use crate::definition::{Definition, DefinitionLibrary};

/// Reads every document, given as path and text, and checks that each lies at `<saga>/v<version>.yaml` and that the sagas
/// it names are among them and take what they are given.
///
/// # Errors
/// Everything found wrong in any of them.
pub fn parse_library<'d>(
    documents: impl IntoIterator<Item = (&'d str, &'d str)>,
    contracts: &ContractRegistry,
) -> Result<DefinitionLibrary, Vec<Finding>> {
    let mut library = DefinitionLibrary::default();
    let mut findings = Vec::new();
    let mut files: BTreeMap<(String, u32), String> = BTreeMap::new();
    for (file, yaml) in documents {
        match parse(file, yaml, contracts) {
            Err(found) => findings.extend(found),
            Ok(definition) => {
                findings.extend(check_file_name(file, &definition));
                let key = (definition.reference.name.to_string(), definition.reference.version);
                if let Err(known) = library.add(definition) {
                    let message =
                        format!("{} is already defined with other content; raise its `version`", known.reference);
                    findings.push(finding(file, "duplicate_definition", message));
                }
                files.insert(key, file.to_owned());
            }
        }
    }
    for definition in library.iter() {
        let key = (definition.reference.name.to_string(), definition.reference.version);
        let file = files.get(&key).map(String::as_str).unwrap_or_default();
        findings.extend(check_links(file, definition, &library));
    }
    if findings.is_empty() { Ok(library) } else { Err(findings) }
}

fn check_file_name(file: &str, definition: &Definition) -> Option<Finding> {
    let wanted = format!("{}/v{}.yaml", definition.reference.name, definition.reference.version);
    let file_name = file.replace('\\', "/");
    let fits = file_name == wanted || file_name.ends_with(&format!("/{wanted}"));
    (!fits).then(|| finding(file, "file_name", format!("{} belongs into `{wanted}`", definition.reference)))
}

/// What is wrong between documents is reported at the top of the one that is wrong.
fn finding(file: &str, code: &'static str, message: String) -> Finding {
    Finding { file: file.to_owned(), line: 1, column: 1, code, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_schemas::library::{contracts, saga_documents};

    #[test]
    fn every_saga_that_ships_is_sound_and_lies_where_its_name_says() {
        let contracts = contracts().expect("all valid");
        let documents = saga_documents();
        let library = parse_library(documents.iter().map(|document| (document.path, document.text)), &contracts);
        let library = library.unwrap_or_else(|findings| {
            panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        assert_eq!(library.iter().count(), documents.len());
        assert!(library.find("registration", Some(1)).is_some_and(|definition| definition.cancel_with.is_some()));
    }

    const FORWARD: &str = "
saga: back
version: 1
title: t
input: {type: object, required: [registration_id], additionalProperties: false, properties: {registration_id: {}}}
steps:
  - {name: a, call: registration.confirm@1, kind: pivot, input: {registration_id: /input/registration_id}}
";

    fn there(cancel_with: &str) -> String {
        FORWARD
            .replace("saga: back", "saga: there")
            .replace("title: t", &format!("title: t\ncancel_with: {cancel_with}"))
    }

    /// Reads the documents and expects exactly these codes.
    #[track_caller]
    fn check(documents: &[(&str, &str)], want: &[&str]) {
        let contracts = contracts().expect("all valid");
        let findings = parse_library(documents.iter().copied(), &contracts).map(|_| ()).err().unwrap_or_default();
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), want, "{findings:#?}");
    }

    #[test]
    fn documents_must_fit_their_names_and_each_other() {
        let good = there("{saga: back, input: {registration_id: /input/registration_id}}");
        check(&[("any/back/v1.yaml", FORWARD), ("there/v1.yaml", &good)], &[]);
        check(&[("back/v2.yaml", FORWARD)], &["file_name"]);
        check(&[("front/v1.yaml", FORWARD)], &["file_name"]);
        check(&[("there/v1.yaml", &good)], &["unknown_saga"]);
        let other = FORWARD.replace("title: t", "title: other");
        check(&[("back/v1.yaml", FORWARD), ("x/back/v1.yaml", &other)], &["duplicate_definition"]);
        let wrong = there("{saga: back, input: {registration: /input/registration_id}}");
        check(&[("back/v1.yaml", FORWARD), ("there/v1.yaml", &wrong)], &["missing_input", "unknown_input"]);
        check(&[("back/v1.yaml", "saga: [")], &["yaml_syntax"]);
    }
}
