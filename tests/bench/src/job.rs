//! The job that every contender does: four steps, one after the other, that do nothing.

use amends_core::definition::DefinitionLibrary;
use amends_core::validate::parse;
use amends_schemas::contract::{ContractName, ContractRegistry};
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{Priority, StartSaga};
use anyhow::anyhow;
use serde_json::{Value, json};

/// The definition's name.
pub const DEFINITION: &str = "bench";

/// The same with a sleep before its first step.
pub const SLEEPING: &str = "bench-sleeping";

/// The steps, in order; each is also the name of the context that serves it.
pub const STEPS: [&str; 4] = ["one", "two", "three", "four"];

const CONTRACTS: [&str; 4] = [
    include_str!("../schemas/contracts/one.work.v1.json"),
    include_str!("../schemas/contracts/two.work.v1.json"),
    include_str!("../schemas/contracts/three.work.v1.json"),
    include_str!("../schemas/contracts/four.work.v1.json"),
];

const SAGAS: [(&str, &str); 2] = [
    ("bench/v1.yaml", include_str!("../schemas/sagas/bench/v1.yaml")),
    ("bench-sleeping/v1.yaml", include_str!("../schemas/sagas/bench-sleeping/v1.yaml")),
];

/// The contract of a step.
pub fn contract(step: &str) -> ContractName {
    format!("{step}.work@1").parse().expect("a step's name makes a contract's name")
}

/// The four contracts.
pub fn contracts() -> anyhow::Result<ContractRegistry> {
    let mut registry = ContractRegistry::empty();
    for (step, text) in STEPS.into_iter().zip(CONTRACTS) {
        registry.add(step, text)?;
    }
    Ok(registry)
}

/// Both definitions.
pub fn library() -> anyhow::Result<DefinitionLibrary> {
    let contracts = contracts()?;
    let mut library = DefinitionLibrary::default();
    for (file, text) in SAGAS {
        let definition = parse(file, text, &contracts).map_err(|findings| anyhow!("{file}: {findings:?}"))?;
        library.add(definition).map_err(|_| anyhow!("{file} is there twice"))?;
    }
    Ok(library)
}

/// What a saga is started with.
pub fn input(saga_id: SagaId) -> Value {
    json!({"order_id": saga_id, "amount": "120.00"})
}

/// What every step answers.
pub fn output() -> Value {
    json!({"reference": "R-1"})
}

/// A saga to be started.
pub fn start(saga_id: SagaId) -> StartSaga {
    StartSaga {
        saga_id,
        definition: DEFINITION.to_owned(),
        version: Some(1),
        input: input(saga_id),
        tags: ["bench".to_owned()].into(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    }
}
