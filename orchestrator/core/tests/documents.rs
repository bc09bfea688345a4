//! The documents that ship, the examples, and the JSON Schema that editors complete from: all three agree.

use amends_core::definition::{Action, DefinitionLibrary};
use amends_core::validate::{check_released, parse, parse_library};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::library::{
    Document, RELEASED, SAGA_SCHEMA, contracts, example_contract_documents, example_documents, saga_documents,
};
use serde_json::Value;

fn example_contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    for document in example_contract_documents() {
        let contract = registry.add(document.path, document.text).expect("a contract");
        let name = &contract.contract;
        let path = format!("examples/contracts/{}/{}.v{}.json", name.context(), name.step(), name.version());
        assert_eq!(document.path, path);
    }
    registry
}

fn read(documents: &[Document], contracts: &ContractRegistry) -> DefinitionLibrary {
    parse_library(documents.iter().map(|document| (document.path, document.text)), contracts).unwrap_or_else(
        |findings| panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    )
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SAGA_SCHEMA).expect("JSON");
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("no JSON Schema: {error}"));
    jsonschema::validator_for(&schema).expect("a JSON Schema")
}

/// A document as editors see it.
fn value(yaml: &str) -> Value {
    serde_saphyr::from_str_with_options(yaml, serde_saphyr::options! { strict_booleans: true }).expect("YAML")
}

#[test]
fn every_example_is_sound() {
    let examples = example_documents();
    let library = read(&examples, &example_contracts());
    assert_eq!(library.iter().count(), examples.len());
    // Together they show every kind of step there is, and branches.
    let steps: Vec<_> = library.iter().flat_map(|definition| &definition.steps).collect();
    for action in ["call", "await", "sleep", "saga", "for_each"] {
        assert!(steps.iter().any(|step| step.action.as_str() == action), "no example of {action}");
    }
    assert!(
        steps.iter().any(|step| matches!(step.action, Action::Sleep(amends_core::definition::Sleep::Until { .. })))
    );
    assert!(library.iter().any(|definition| definition.flow.len() < definition.steps.len()), "no example of parallel");
    assert!(library.iter().any(|definition| definition.cancel_with.is_some()));
}

#[test]
fn a_list_that_a_contract_promises_fits_into_a_steps_output() {
    let contracts = example_contracts();
    let contract = contracts.get(&"people.list@1".parse().expect("a name")).expect("ships");
    let people = &contract.output["properties"]["people"];
    let longest = |field: &str| people["items"]["properties"][field]["maxLength"].as_u64().expect("a bound") as usize;
    let person = serde_json::json!({"id": "x".repeat(longest("id")), "mail": "x".repeat(longest("mail"))});
    let most = people["maxItems"].as_u64().expect("a bound") as usize;
    let output = serde_json::json!({"people": vec![person; most]});
    assert!(output.to_string().len() <= amends_schemas::limits::STEP_OUTPUT_BYTES_MAX);
}

#[test]
fn the_readme_leads_to_every_example() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("there");
    for document in example_documents() {
        let link = format!("(schemas/sagas/{})", document.path);
        assert!(readme.contains(&link), "README.md does not name {}", document.path);
    }
}

#[test]
fn released_definitions_and_contracts_are_frozen() {
    let contracts = contracts().expect("all valid");
    let library = read(&saga_documents(), &contracts);
    let findings = check_released("schemas/sagas/released.json", RELEASED, &library, &contracts, |_| true);
    assert!(findings.is_empty(), "{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    for released in ["registration@1", "payment.capture@1"] {
        assert!(RELEASED.contains(released), "{released} is released");
    }
}

#[test]
fn the_schema_takes_every_document_and_each_names_it() {
    let schema = schema();
    for document in saga_documents().into_iter().chain(example_documents()) {
        let errors: Vec<String> = schema
            .iter_errors(&value(document.text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", document.path);
        let up = "../".repeat(document.path.split('/').count());
        let modeline = format!("# yaml-language-server: $schema={up}saga.schema.json");
        assert_eq!(document.text.lines().next(), Some(modeline.as_str()), "the first line of {}", document.path);
    }
}

const SOUND: &str = "
saga: test
version: 1
title: Test
input: {type: object}
deadline: 15m
cancel_with: {saga: other, input: {at: /cancel/requested_at}}
steps:
  - name: reserve
    call: seats.reserve@1
    kind: compensable
    input: {event: /input/event, person: {const: /x}}
    compensate: {undo: {timeout: 5s, retry: {attempts: 3}}}
    timeout: 10s
    retry: {attempts: 3, backoff: 200ms, factor: 1.5, max_backoff: 10s, jitter: 0.5, only: [busy]}
    on_unknown: retry
  - parallel:
      - name: room
        when: [{step: reserve, outcome: [paid, free]}]
        call: hotel.book@1
        kind: compensable
        input: {person: x, nights: 1}
        compensate: {waive: none}
      - steps:
          - {name: nap, sleep: 1h}
  - name: approval
    await: approval
    outcomes: [approved, rejected]
    schema: {type: object}
    timeout: 7d
    on_timeout: expired
  - name: before
    sleep: {until: /input/starts_at, time_zone: Europe/Paris, before: 1d}
  - name: badge
    saga: badge-printing@1
    kind: compensable
    input: {person: /input/person}
    compensate: cancel
  - name: tell
    saga: message
    for_each: /input/people
    input: {to: /item/mail, place: /index}
    concurrency: 20
    on_failure: continue
    kind: compensable
    compensate: {waive: none}
output: {id: /saga/id, how: /steps/reserve/outcome}
";

#[test]
fn what_is_built_wrongly_is_refused_by_the_reader_and_by_the_schema() {
    let (schema, contracts) = (schema(), example_contracts());
    let errors: Vec<String> = schema.iter_errors(&value(SOUND)).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(parse("test/v1.yaml", SOUND, &contracts).map(|_| ()), Ok(()));
    for (from, to) in [
        ("title: Test\n", ""),
        ("title: Test", "title: ' '"),
        ("title: Test", "titel: Test"),
        ("saga: test", "saga: Test"),
        ("version: 1", "version: 0"),
        ("version: 1", "version: '1'"),
        ("input: {type: object}", "input: object"),
        ("deadline: 15m", "deadline: 15 m"),
        ("deadline: 15m", "deadline: 0m"),
        ("cancel_with: {saga: other, input: {at: /cancel/requested_at}}", "cancel_with: {saga: other}"),
        ("cancel_with: {saga: other, input: {at: /cancel/requested_at}}", "cancel_with: {saga: other, input: {}}"),
        ("/cancel/requested_at", "/cancel/when"),
        ("/cancel/requested_at", "/item"),
        ("output: {id: /saga/id", "output: {id: /saga/ids"),
        ("output: {id: /saga/id", "output: {id: /cancel/reason"),
        ("/steps/reserve/outcome}", "/steps/reserve/outcomes}"),
        ("/input/event,", "/inputs/event,"),
        ("{const: /x}", "{const: /x, b: 1}"),
        ("    call: seats.reserve@1\n", ""),
        ("    call: seats.reserve@1\n", "    call: seats.reserve@1\n    sleep: 1h\n"),
        ("call: seats.reserve@1", "call: seats.reserve"),
        ("  - name: reserve\n    call", "  - call"),
        ("name: reserve\n", "name: Reserve\n"),
        ("    kind: compensable\n    input: {event", "    input: {event"),
        ("    kind: compensable\n    input: {event", "    kind: undoable\n    input: {event"),
        ("    compensate: {undo: {timeout: 5s, retry: {attempts: 3}}}\n", ""),
        ("compensate: {undo: {timeout: 5s, retry: {attempts: 3}}}", "compensate: cancel"),
        ("{undo: {timeout: 5s, retry: {attempts: 3}}}", "{undo: {timeout: 5s}, waive: both}"),
        ("{undo: {timeout: 5s, retry: {attempts: 3}}}", "{undo: {tries: 3}}"),
        ("retry: {attempts: 3, ", "retry: {attempts: 0, "),
        ("factor: 1.5", "factor: 0.5"),
        ("jitter: 0.5", "jitter: 1.5"),
        ("only: [busy]", "only: []"),
        ("on_unknown: retry", "on_unknown: never"),
        ("[{step: reserve, outcome: [paid, free]}]", "{step: reserve}"),
        ("[{step: reserve, outcome: [paid, free]}]", "{step: reserve, outcome: []}"),
        ("[{step: reserve, outcome: [paid, free]}]", "{input: policy, equals: full}"),
        ("[{step: reserve, outcome: [paid, free]}]", "paid"),
        ("  - parallel:\n", "  - name: both\n    parallel:\n"),
        ("      - steps:\n          - {name: nap, sleep: 1h}\n", ""),
        ("      - steps:\n", "      - name: x\n        steps:\n"),
        ("- {name: nap, sleep: 1h}", "[]"),
        ("{name: nap, sleep: 1h}", "{name: nap, call: card.charge@1, kind: pivot, input: {card: a, reference: b}}"),
        ("await: approval", "await: The approval"),
        ("outcomes: [approved, rejected]", "outcomes: approved"),
        ("outcomes: [approved, rejected]", "outcomes: [approved, approved]"),
        ("schema: {type: object}", "schema: object"),
        ("    timeout: 7d\n", ""),
        ("    timeout: 7d\n", "    timeout: 7d\n    kind: retriable\n"),
        ("    timeout: 7d\n", "    timeout: 7d\n    retry: {attempts: 3}\n"),
        ("sleep: 1h", "sleep: an hour"),
        ("sleep: 1h", "sleep: /input/a"),
        ("until: /input/starts_at", "until: tomorrow"),
        ("until: /input/starts_at, ", ""),
        ("time_zone: Europe/Paris", "time_zone: /saga/id"),
        ("before: 1d}", "before: 1d}\n    kind: compensable"),
        ("saga: badge-printing@1", "saga: badge-printing@0"),
        (
            "    kind: compensable\n    input: {person: /input/person}",
            "    kind: pivot\n    input: {person: /input/person}",
        ),
        ("compensate: cancel", "compensate: undo"),
        ("compensate: cancel", "compensate: cancel\n    timeout: 5s"),
        ("compensate: cancel", "compensate: cancel\n    concurrency: 5"),
        ("input: {person: /input/person}", "input: {person: /item}"),
        ("for_each: /input/people", "for_each: 0"),
        ("for_each: /input/people", "for_each: people"),
        ("for_each: /input/people", "for_each: [/input/people]"),
        ("for_each: /input/people", "for_each: /saga/id"),
        ("concurrency: 20", "concurrency: 1001"),
        ("on_failure: continue", "on_failure: ignore"),
    ] {
        assert!(SOUND.contains(from), "nothing to replace: {from}");
        let wrong = SOUND.replacen(from, to, 1);
        assert!(parse("test/v1.yaml", &wrong, &contracts).is_err(), "the reader takes {to:?} for {from:?}");
        assert!(!schema.is_valid(&value(&wrong)), "the schema takes {to:?} for {from:?}");
    }
}
