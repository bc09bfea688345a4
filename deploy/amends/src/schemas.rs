//! Contracts and definitions: those that ship, and those of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use amends_core::definition::DefinitionLibrary;
use amends_core::validate::{Finding, parse};
use amends_schemas::contract::{ContractLimits, ContractName, ContractRegistry};
use amends_schemas::library;
use anyhow::{Context, anyhow, bail};

use crate::lacking::{Lacking, link, without_contracts};

/// Most documents in a folder of one's own, against a path named by mistake.
const DOCUMENTS_MAX: usize = 10_000;

/// Everything a process knows of contracts and definitions.
#[derive(Debug, Clone)]
pub struct Schemas {
    /// By name and version.
    pub contracts: ContractRegistry,
    /// By name and version.
    pub definitions: DefinitionLibrary,
}

impl Schemas {
    /// With the deployment's own limits of contracts, loads what ships and, when `folder` is not empty, what lies in it: `contracts/**/*.json`, and `sagas/**/*.yaml` or, where there is
    /// no `sagas`, every `*.yaml`. Definitions that only lack a contract are left out, told in the log, and noted in the library.
    ///
    /// # Errors
    /// Everything else that is wrong with the documents, by file and line.
    pub fn load(folder: &str, limits: &Limits) -> anyhow::Result<Self> {
        let mut contracts = contracts(Path::new(folder))?;
        apply(limits, &mut contracts)?;
        let documents = saga_documents(Path::new(folder))?;
        let (mut known, mut findings) = (DefinitionLibrary::default(), Vec::new());
        let (mut sound, mut lacking) = (Vec::new(), Vec::new());
        let already = |file: &str, reference: &str| {
            anyhow!("{file}: {reference} is already defined with other content; raise its version")
        };
        for (file, text) in &documents {
            match parse(file, text, &contracts) {
                Ok(definition) => {
                    known.add(definition.clone()).map_err(|known| already(file, &known.reference.to_string()))?;
                    sound.push((file.as_str(), definition));
                }
                Err(found) => match without_contracts(file, text, &found, &contracts) {
                    Some(one) => lacking.push(one),
                    None => findings.extend(found),
                },
            }
        }
        for Lacking { file, name, version, .. } in &lacking {
            if known.find(name, Some(*version)).is_some() {
                return Err(already(file, &format!("{name}@{version}")));
            }
        }
        let definitions = match link(sound, &mut lacking) {
            Ok(definitions) if findings.is_empty() => definitions,
            Ok(_) => bail!("saga definitions are not right:\n{}", listing(&findings)),
            Err(found) => {
                // What is wrong within documents is said first: the rest may follow from it.
                let findings = if findings.is_empty() { found } else { findings };
                bail!("saga definitions are not right:\n{}", listing(&findings))
            }
        };
        for Lacking { file, name, version, lacks } in &lacking {
            tracing::error!(file, "definition {name}@{version} cannot be run here, and its sagas are parked: {lacks}");
        }
        Ok(Self { contracts, definitions })
    }
}

/// Limits of contracts, by name, as the configuration says them.
pub type Limits = BTreeMap<String, ContractLimits>;

fn apply(limits: &Limits, contracts: &mut ContractRegistry) -> anyhow::Result<()> {
    for (name, limits) in limits {
        let name: ContractName = name.parse().with_context(|| format!("[limits.\"{name}\"]"))?;
        if limits.concurrency == Some(0) || limits.per_second == Some(0) {
            bail!("[limits.\"{name}\"]: a limit is at least one");
        }
        contracts.limit(&name, *limits).map_err(|name| match contracts.closest(&name.to_string()) {
            Some(closest) => anyhow::anyhow!("[limits.\"{name}\"]: there is no such contract; did you mean {closest}?"),
            None => anyhow::anyhow!("[limits.\"{name}\"]: there is no such contract"),
        })?;
    }
    Ok(())
}

/// The definitions that ship and those of a folder, unread: path and text.
///
/// # Errors
/// A file that cannot be read.
pub fn saga_documents(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut documents: Vec<(String, String)> =
        library::saga_documents().iter().map(|document| (document.path.to_owned(), document.text.to_owned())).collect();
    if !folder.as_os_str().is_empty() {
        let sagas = folder.join("sagas");
        for file in files(if sagas.is_dir() { &sagas } else { folder }, "yaml")? {
            documents.push((file.display().to_string(), read(&file)?));
        }
    }
    Ok(documents)
}

/// The contracts that ship and those of a folder.
///
/// # Errors
/// The document that is wrong.
pub fn contracts(folder: &Path) -> anyhow::Result<ContractRegistry> {
    let mut contracts = library::contracts()?;
    if !folder.as_os_str().is_empty() {
        if !folder.is_dir() {
            bail!("the folder {} does not exist", folder.display());
        }
        for file in files(&folder.join("contracts"), "json")? {
            contracts.add(&file.display().to_string(), &read(&file)?)?;
        }
    }
    Ok(contracts)
}

/// One line each: `file:line:column: message (code)`.
pub fn listing(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|found| format!("{}:{}:{}: {} ({})", found.file, found.line, found.column, found.message, found.code))
        .collect();
    lines.join("\n")
}

/// Reads a text file.
///
/// # Errors
/// Naming the file.
pub fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Every file below a folder whose name ends so, sorted; none when there is no such folder.
///
/// # Errors
/// A folder that cannot be read, or one that holds too much.
pub fn files(root: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("{} cannot be read", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|have| have == extension) {
                found.push(path);
            }
            if found.len() + folders.len() > DOCUMENTS_MAX {
                bail!("{} holds more than {DOCUMENTS_MAX} documents", root.display());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_adds_to_what_ships() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("contracts/greeting")).expect("made");
        std::fs::create_dir_all(folder.path().join("sagas")).expect("made");
        std::fs::write(
            folder.path().join("contracts/greeting/say.v1.json"),
            r#"{"contract":"greeting.say@1","title":"Say hello","undo":true,
                "input":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}},"output":{"type":"object"}}"#,
        )
        .expect("written");
        let saga = "saga: hello\nversion: 1\ntitle: Hello\n\
                    input: {type: object, required: [name], properties: {name: {type: string}}}\n\
                    steps:\n  - name: say\n    call: greeting.say@1\n    kind: compensable\n    input: {name: /input/name}\n    compensate: undo\n";
        std::fs::write(folder.path().join("sagas/hello.yaml"), saga).expect("written");
        let path = folder.path().to_str().expect("utf-8");
        let schemas = Schemas::load(path, &Limits::new()).expect("loads");
        assert!(schemas.definitions.find("hello", Some(1)).is_some());
        assert!(schemas.definitions.find("registration", None).is_some());

        // Without a folder of their own they may lie anywhere.
        let beside = folder.path().join("all");
        std::fs::create_dir_all(beside.join("contracts")).expect("made");
        std::fs::write(
            beside.join("hello.yaml"),
            saga.replace("greeting.say@1", "registration.confirm@1")
                .replace("input: {name: /input/name}", "input: {registration_id: /input/name}")
                .replace("compensate: undo", "compensate: {waive: none}"),
        )
        .expect("written");
        let schemas = Schemas::load(beside.to_str().expect("utf-8"), &Limits::new()).expect("loads");
        assert!(schemas.definitions.find("hello", Some(1)).is_some());

        std::fs::write(folder.path().join("sagas/hello.yaml"), saga.replace("/input/name", "/input/nmae"))
            .expect("written");
        let error = Schemas::load(path, &Limits::new()).expect_err("a pointer that resolves nowhere").to_string();
        assert!(error.contains("hello.yaml:9:"), "{error}");

        let cancelled =
            saga.replace("title: Hello\n", "title: Hello\ncancel_with: {saga: nobody, input: {name: /input/name}}\n");
        std::fs::write(folder.path().join("sagas/hello.yaml"), cancelled).expect("written");
        let error = Schemas::load(path, &Limits::new()).expect_err("a cancel_with that is not there").to_string();
        assert!(error.contains("hello.yaml:4:21: `cancel_with` names the saga `nobody`"), "{error}");
    }

    #[test]
    fn a_deployment_limits_contracts_that_exist() {
        let limits = |name: &str, concurrency| {
            Limits::from([(name.to_owned(), ContractLimits { concurrency: Some(concurrency), per_second: None })])
        };
        let schemas = Schemas::load("", &limits("payment.capture@1", 50)).expect("loads");
        let name = "payment.capture@1".parse().expect("a name");
        assert_eq!(schemas.contracts.get(&name).and_then(|contract| contract.limits?.concurrency), Some(50));
        let registration = schemas.definitions.find("registration", None).expect("it ships");
        let pay = registration.steps.iter().filter_map(|step| step.call()).find(|call| call.name == name);
        assert_eq!(pay.and_then(|call| call.contract.limits?.concurrency), Some(50), "definitions are read with it");
        for (name, concurrency, told) in [
            ("payment.captur@1", 5, "did you mean payment.capture@1?"),
            ("payment.capture@1", 0, "at least one"),
            ("payment", 5, "payment"),
        ] {
            let error = Schemas::load("", &limits(name, concurrency)).expect_err(name);
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }

    #[test]
    fn what_lacks_a_contract_is_left_out_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let step = |call: &str| {
            format!(
                "input: {{type: object}}\nsteps:\n  - {{name: say, {call}, kind: compensable, compensate: {{waive: said}}}}\n"
            )
        };
        let put = |saga: &str, version: u32, rest: &str| {
            let text = format!("saga: {saga}\nversion: {version}\ntitle: t\n{rest}");
            std::fs::write(folder.path().join(format!("{saga}-{version}.yaml")), text).expect("written");
        };
        let load = || Schemas::load(folder.path().to_str().expect("utf-8"), &Limits::new());
        put("hello", 1, &step("sleep: 1s").replace(", kind: compensable, compensate: {waive: said}", ""));
        put("hello", 2, &step("call: greeting.say@1"));
        put("old", 1, &step("saga: hello@1"));
        put("new", 1, &step("saga: hello"));
        put("newer", 1, &format!("cancel_with: {{saga: new, input: {{id: /saga/id}}}}\n{}", step("saga: hello@1")));
        let definitions = load().expect("the others can be run").definitions;
        for (saga, version, lacks) in [
            ("hello", None, Some("it calls greeting.say@1, of which there is no contract here")),
            ("hello", Some(2), Some("greeting.say@1")),
            ("hello", Some(1), None),
            ("old", None, None),
            ("new", None, Some("it names the saga hello, which cannot be run here: it calls greeting.say@1")),
            ("newer", Some(1), Some("it names the saga new, which cannot be run here: it names the saga hello")),
            ("nobody", None, None),
        ] {
            let found = definitions.lacks(saga, version);
            match lacks {
                Some(lacks) => assert!(found.is_some_and(|found| found.contains(lacks)), "{saga}: {found:?}"),
                None => assert_eq!(found, None, "{saga}"),
            }
        }
        assert!(definitions.find("new", None).is_none() && definitions.find("registration", None).is_some());

        // Whatever else is wrong is refused as before, within a document and between two.
        put("new", 1, &step("saga: hello").replace("saga: hello", "saga: hello, input: {a: /nowhere}"));
        assert!(load().is_err());
        put(
            "new",
            1,
            &step("saga: hello").replace("kind: compensable, compensate: {waive: said}", "kind: compensable"),
        );
        assert!(load().is_err());
        put("new", 1, &format!("cancel_with: {{saga: nobody, input: {{id: /saga/id}}}}\n{}", step("saga: hello")));
        let error = load().expect_err("a saga that is nowhere").to_string();
        assert!(error.contains("`nobody`"), "{error}");
        put("new", 1, &step("saga: hello"));
        put("hello", 2, &step("call: greeting.say@1").replace("title: t", "").replace("waive: said", "wave: said"));
        let error = load().expect_err("another mistake beside").to_string();
        assert!(error.contains("greeting.say@1") && error.contains("wave"), "{error}");
        put("registration", 1, &step("call: greeting.say@1"));
        put("hello", 2, &step("call: greeting.say@1"));
        let error = load().expect_err("it ships otherwise").to_string();
        assert!(error.contains("registration@1 is already defined"), "{error}");
    }
}
