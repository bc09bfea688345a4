//! Who may import whom, and what may stand where (orchestrator/ARCHITECTURE.md, "Code map").

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Dependencies that `crate_folder` declares for its product code.
fn dependencies(crate_folder: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(crate_folder).join("Cargo.toml")).expect("a manifest");
    let start = text.find("[dependencies]").expect("a list of dependencies") + "[dependencies]".len();
    let list = &text[start..];
    let end = list.find("\n[").unwrap_or(list.len());
    list[..end]
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every Rust file of the product below `folder`, with its text up to the first test module.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() && !["tests", "target", ".git", "benches", "examples"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" && !name.starts_with("test") {
                let text = fs::read_to_string(&path).expect("text");
                let product = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                let shown = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                found.push((shown, product));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

#[test]
fn crates_import_only_whom_they_may() {
    let contexts = ["events", "registration", "payment", "billing", "notification"];
    let database = "surrealdb";
    let mut rules: Vec<(String, Vec<&str>)> = vec![
        ("schemas".into(), vec!["tokio", "async-nats", database, "axum", "tracing", "amends-"]),
        (
            "orchestrator/core".into(),
            vec![
                "tokio",
                "async-nats",
                database,
                "axum",
                "tracing",
                "amends-engine",
                "amends-store",
                "amends-nats",
                "amends-sdk",
            ],
        ),
        (
            "orchestrator/engine".into(),
            vec!["async-nats", database, "axum", "amends-nats", "amends-store", "amends-database"],
        ),
        ("orchestrator/store".into(), vec!["async-nats", "axum", "amends-nats"]),
        ("orchestrator/nats".into(), vec![database, "axum", "amends-engine", "amends-core"]),
        ("orchestrator/bus".into(), vec![database, "axum", "amends-store", "amends-database"]),
        ("orchestrator/database".into(), vec!["async-nats", "axum", "amends-"]),
        ("workers/sdk".into(), vec!["axum", "amends-core", "amends-engine", "amends-store", "amends-bus"]),
        (
            "api".into(),
            vec![
                database,
                "amends-database",
                "amends-core",
                "amends-engine",
                "amends-store",
                "amends-bus",
                "amends-sdk",
            ],
        ),
    ];
    for context in contexts {
        let mut forbidden =
            vec!["async-nats", database, "axum", "amends-core", "amends-engine", "amends-store", "amends-bus"];
        let others =
            ["amends-events", "amends-registration", "amends-payment", "amends-billing", "amends-notification"];
        forbidden.extend(others.into_iter().filter(|other| !other.ends_with(context)));
        rules.push((format!("workers/{context}"), forbidden));
    }
    for (folder, forbidden) in rules {
        for dependency in dependencies(&folder) {
            let breaks = |rule: &str| dependency == rule || (rule.ends_with('-') && dependency.starts_with(rule));
            assert!(!forbidden.iter().any(|rule| breaks(rule)), "{folder} must not depend on {dependency}");
        }
    }
}

#[test]
fn queries_stand_only_in_repositories() {
    let words = ["SELECT ", "UPSERT ", "DEFINE TABLE", "DELETE FROM", "CREATE type::"];
    for (file, text) in
        sources("workers").into_iter().chain(sources("api")).chain(sources("deploy")).chain(sources("orchestrator"))
    {
        let allowed = file.starts_with("orchestrator/store/")
            || file.starts_with("orchestrator/database/")
            || file.contains("repository")
            || file.starts_with("workers/sdk/");
        let found = words
            .iter()
            .find(|word| text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(**word)));
        assert!(allowed || found.is_none(), "{file} holds SurrealQL ({found:?}); it belongs into the repository");
    }
}

#[test]
fn subjects_stand_only_in_schemas() {
    for folder in ["workers", "api", "deploy", "orchestrator"] {
        for (file, text) in sources(folder) {
            let stands = text.lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//")
                    && ["\"amends.cmd", "\"amends.evt", "\"amends.orc", "\"amends.ctx", "\"amends.saga."]
                        .iter()
                        .any(|s| code.contains(s))
            });
            assert!(!stands, "{file} spells a subject; build it in schemas/src/subjects.rs");
        }
    }
}

#[test]
fn the_environment_is_read_only_by_the_binary() {
    for folder in ["workers", "api", "orchestrator", "schemas"] {
        for (file, text) in sources(folder) {
            assert!(!text.contains("env::var"), "{file} reads the environment; make it a setting");
        }
    }
}

#[test]
fn the_tests_that_the_architecture_page_names_exist() {
    let root = root();
    let page = fs::read_to_string(root.join("orchestrator/ARCHITECTURE.md")).expect("the page");
    let (_, invariants) = page.split_once("## Invariants, and the tests that hold them").expect("the section");
    let (invariants, _) = invariants.split_once("\n## ").expect("a section after it");
    let mut code = String::new();
    let mut folders: Vec<PathBuf> =
        ["orchestrator", "workers", "tests", "api"].iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let named: Vec<&str> =
        invariants.split('`').skip(1).step_by(2).filter(|name| name.contains('_') || name.contains('/')).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let exists = if name.contains('/') {
            root.join(name).exists()
                || root.join("orchestrator").join(name).exists()
                || root.join("orchestrator").join(format!("{name}.rs")).exists()
        } else {
            code.contains(&format!("fn {name}("))
        };
        assert!(exists, "ARCHITECTURE.md names {name}, which does not exist");
    }
}

/// Written out, a range of ids is read to its end before it is cut (orchestrator/database, "What a range costs").
#[test]
fn a_limited_range_of_ids_is_made_by_a_function() {
    for folder in ["orchestrator", "workers", "deploy"] {
        for (path, text) in sources(folder) {
            let statements = text.split(';').flat_map(|text| text.split("FROM ").skip(1));
            for source in statements.filter(|source| source.contains("LIMIT")) {
                let source = source.split("LIMIT").next().unwrap_or_default();
                let name = source.split([':', '(', ' ', '\n']).next().unwrap_or_default();
                let range =
                    source.get(name.len()..).is_some_and(|rest| rest.starts_with(":[") || rest.starts_with(":`"));
                assert!(!(range && source.contains("..")), "{path}: FROM {source}");
            }
        }
    }
}
