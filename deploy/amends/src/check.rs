//! `amends check`: reads saga definitions and says what is wrong with them, without running anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amends_core::definition::{Definition, DefinitionLibrary};
use amends_core::validate::{Finding, check_links, check_released, parse};
use amends_schemas::contract::{Contract, ContractError, ContractName, ContractRegistry};
use amends_schemas::library;
use anyhow::bail;

use crate::cli::CheckArgs;
use crate::schemas::{contracts, files, listing, read, saga_documents};

/// Where a folder of definitions says which of them were released.
const RELEASED: &str = "released.json";

/// Checks the named files and folders, or all that ship.
///
/// # Errors
/// When anything is wrong; everything found is printed first.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let mut contracts = contracts(args.schemas.as_deref().unwrap_or(Path::new("")))?;
    for folder in folders(args) {
        add_contracts(folder, &mut contracts)?;
    }
    let documents = documents(args)?;
    let parsed: Vec<_> = documents.iter().map(|(file, text)| (file, parse(file, text, &contracts))).collect();
    let library = library(args, parsed.iter().filter_map(|(_, parsed)| parsed.as_ref().ok()), &contracts)?;
    let mut wrong = 0;
    for (file, parsed) in &parsed {
        let findings = match parsed {
            Ok(definition) => check_links(file, definition, &library),
            Err(findings) => findings.clone(),
        };
        match parsed {
            Ok(definition) if findings.is_empty() => {
                println!(
                    "{file}: {} is right, {} steps, hash {}",
                    definition.reference,
                    definition.steps.len(),
                    &definition.reference.hash[..12]
                );
            }
            Ok(_) | Err(_) => {
                wrong += findings.len();
                println!("{}", listing(&findings));
            }
        }
    }
    let sound = parsed.iter().filter_map(|(file, parsed)| Some((Path::new(file.as_str()), parsed.as_ref().ok()?)));
    let frozen = frozen(args, &sound.collect::<Vec<_>>(), &contracts)?;
    if !frozen.is_empty() {
        println!("{}", listing(&frozen));
    }
    wrong += frozen.len();
    if wrong > 0 {
        bail!("{wrong} found wrong");
    }
    Ok(())
}

fn folders(args: &CheckArgs) -> impl Iterator<Item = &PathBuf> {
    args.files.iter().filter(|path| path.is_dir())
}

/// The documents that are named, or those that ship.
fn documents(args: &CheckArgs) -> anyhow::Result<Vec<(String, String)>> {
    if args.files.is_empty() {
        let shipped = library::saga_documents();
        return Ok(shipped.iter().map(|document| (document.path.to_owned(), document.text.to_owned())).collect());
    }
    let mut documents = Vec::new();
    for path in &args.files {
        let found = if path.is_dir() { files(path, "yaml")? } else { vec![path.clone()] };
        for file in found {
            documents.push((file.display().to_string(), read(&file)?));
        }
    }
    Ok(documents)
}

/// The contracts that lie in a `contracts` somewhere below a folder. One that is known already and says the same is no second one.
fn add_contracts(folder: &Path, contracts: &mut ContractRegistry) -> anyhow::Result<()> {
    for file in files(folder, "json")? {
        let below = file.strip_prefix(folder).unwrap_or(&file);
        if !below.iter().any(|part| part == "contracts") {
            continue;
        }
        let text = read(&file)?;
        match contracts.add(&file.display().to_string(), &text) {
            Ok(_) => {}
            Err(ContractError::Duplicate { name, .. })
                if serde_json::from_str::<Contract>(&text).ok().as_ref() == contracts.get(&name).map(Arc::as_ref) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What is wrong with released documents: of a folder that says which those are, and of those that ship. A list speaks of the
/// documents beside it, not of folders of their own further down.
fn frozen(
    args: &CheckArgs,
    sound: &[(&Path, &Definition)],
    contracts: &ContractRegistry,
) -> anyhow::Result<Vec<Finding>> {
    let library_of = |folder: &Path| {
        let mut library = DefinitionLibrary::default();
        for (file, definition) in sound {
            if file.strip_prefix(folder).is_ok_and(|below| below.iter().count() <= 2) {
                let _ = library.add((*definition).clone());
            }
        }
        library
    };
    if args.files.is_empty() {
        let shipped = library::contracts()?;
        return Ok(check_released(RELEASED, library::RELEASED, &library_of(Path::new("")), &shipped, |_| true));
    }
    let mut findings = Vec::new();
    for folder in folders(args) {
        let file = folder.join(RELEASED);
        if file.is_file() {
            let beside = contracts_beside(folder)?;
            let is_beside = |name: &ContractName| beside.contains(name);
            let (shown, list) = (file.display().to_string(), read(&file)?);
            findings.extend(check_released(&shown, &list, &library_of(folder), contracts, is_beside));
        }
    }
    Ok(findings)
}

/// The contracts in the `contracts` of a folder of definitions, or beside it when it is the `sagas` of a larger one.
fn contracts_beside(folder: &Path) -> anyhow::Result<BTreeSet<ContractName>> {
    let above = folder.file_name().is_some_and(|name| name == "sagas").then(|| folder.join("../contracts"));
    let mut names = BTreeSet::new();
    for folder in above.into_iter().chain([folder.join("contracts")]) {
        for file in files(&folder, "json")? {
            names.extend(serde_json::from_str::<Contract>(&read(&file)?).ok().map(|contract| contract.contract));
        }
    }
    Ok(names)
}

/// The named ones among those they would run with: what ships and what lies in the folder. Where two say the same name and version the
/// named one counts, and what cannot be read there is not what is checked here.
fn library<'d>(
    args: &CheckArgs,
    named: impl Iterator<Item = &'d Definition>,
    contracts: &ContractRegistry,
) -> anyhow::Result<DefinitionLibrary> {
    let mut library = DefinitionLibrary::default();
    for definition in named {
        let _ = library.add(definition.clone());
    }
    for (file, text) in saga_documents(args.schemas.as_deref().unwrap_or(Path::new("")))? {
        if let Ok(definition) = parse(&file, &text, contracts) {
            let _ = library.add(definition);
        }
    }
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_saga_that_cancels_must_be_there() {
        let shipped = library::saga_documents().into_iter().find(|document| document.path == "registration/v1.yaml");
        let text = shipped.expect("it ships").text;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("v1.yaml");
        let check = |text: String| {
            std::fs::write(&file, text).expect("written");
            run(&CheckArgs { files: vec![file.clone()], schemas: None })
        };
        check(text.to_owned()).expect("it is right as it ships");
        let error = check(text.replace("saga: registration-cancellation", "saga: nobody")).expect_err("no such saga");
        assert_eq!(error.to_string(), "1 found wrong");
    }

    fn check(files: &[&Path]) -> Result<(), String> {
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        run(&CheckArgs { files, schemas: None }).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_folders_are_checked_with_the_contracts_in_them() {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[&schemas.join("sagas/examples")]), Ok(()));
        assert_eq!(check(&[&schemas]), Ok(()));
        // On its own an example does not know its contracts.
        assert_eq!(check(&[&schemas.join("sagas/examples/cool-off/v1.yaml")]), Err("2 found wrong".to_owned()));
    }

    #[test]
    fn a_folder_may_freeze_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let saga = folder.path().join("back");
        std::fs::create_dir(&saga).expect("made");
        let shipped = library::saga_documents()[0];
        let text = shipped.text.replace("saga: registration-cancellation", "saga: back");
        std::fs::write(saga.join("v1.yaml"), &text).expect("written");
        assert_eq!(check(&[folder.path()]), Ok(()));
        let hash = parse("v1.yaml", &text, &library::contracts().expect("valid")).expect("sound").reference.hash;
        std::fs::write(folder.path().join(RELEASED), format!(r#"{{"back@1": "{hash}"}}"#)).expect("written");
        assert_eq!(check(&[folder.path()]), Ok(()));
        std::fs::write(saga.join("v1.yaml"), text.replace("timeout: 30s", "timeout: 31s")).expect("written");
        assert_eq!(check(&[folder.path()]), Err("1 found wrong".to_owned()));
    }

    #[test]
    fn a_folder_freezes_its_contracts_once_it_lists_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (sagas, contracts) = (folder.path().join("sagas"), folder.path().join("contracts/greeting"));
        std::fs::create_dir_all(&sagas).expect("made");
        std::fs::create_dir_all(&contracts).expect("made");
        let say = r#"{"contract":"greeting.say@1","title":"Say","undo":true,"input":{"type":"object"},"output":{}}"#;
        let put = |text: &str| std::fs::write(contracts.join("say.v1.json"), text).expect("written");
        put(say);
        let hello = "saga: hello\nversion: 1\ntitle: Hello\ninput: {type: object}\n\
                     steps:\n  - {name: say, call: greeting.say@1, kind: compensable, compensate: undo}\n";
        std::fs::write(sagas.join("hello.yaml"), hello).expect("written");
        let check = || {
            let args = CheckArgs { files: vec![sagas.clone()], schemas: Some(folder.path().to_owned()) };
            run(&args).map_err(|error| error.to_string())
        };
        let mut registry = ContractRegistry::empty();
        registry.add("say", say).expect("a contract");
        let hash = parse("hello.yaml", hello, &registry).expect("sound").reference.hash;
        let list = |more: &str| {
            std::fs::write(sagas.join(RELEASED), format!(r#"{{"hello@1": "{hash}"{more}}}"#)).expect("written");
        };
        list("");
        assert_eq!(check(), Ok(()), "a list of definitions only");
        put(&say.replace(r#""undo":true"#, r#""undo":true,"probe":true"#));
        assert_eq!(check(), Ok(()), "it says nothing of contracts");
        list(r#", "greeting.say@1": "00""#);
        assert_eq!(check(), Err("1 found wrong".to_owned()));
        list(r#", "greeting.wave@1": "00""#);
        assert_eq!(check(), Err("2 found wrong".to_owned()), "one is gone, one is not on the list");
    }
}
