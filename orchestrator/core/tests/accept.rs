//! What a saga may be started with.

use std::collections::BTreeSet;

use amends_core::accept::{FIELD_ERRORS_MAX, accept};
use amends_core::definition::Definition;
use amends_core::validate::parse;
use amends_schemas::library::{contracts, saga_documents};
use amends_schemas::limits::{SAGA_INPUT_BYTES_MAX, TAGS_MAX};
use amends_schemas::problem::ProblemKind;
use serde_json::{Value, json};

fn registration() -> Definition {
    let contracts = contracts().expect("valid");
    let document =
        saga_documents().into_iter().find(|document| document.path == "registration/v1.yaml").expect("ships");
    parse(document.path, document.text, &contracts).expect("valid")
}

fn input() -> Value {
    json!({
        "registration_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002",
        "event_id": "0193a1de-7d41-7cc1-9b5e-0242ac120003",
        "attendee": {"name": "Ann", "email": "ann@example.org"},
    })
}

/// Checks an input against `code pointer,pointer`.
#[track_caller]
fn check(input: &Value, want: &str) {
    let have = match accept(&registration(), input, &BTreeSet::new()) {
        Ok(()) => "ok".to_owned(),
        Err(problem) => {
            let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
            format!("{} {}", problem.code, pointers.join(","))
        }
    };
    assert_eq!(have, want);
}

#[test]
fn an_input_is_checked_against_the_schema_with_its_formats() {
    check(&input(), "ok");
    let with = |pointer: &str, value: Value| {
        let mut changed = input();
        *changed.pointer_mut(pointer).expect("there") = value;
        changed
    };
    check(&with("/event_id", json!("not-a-uuid")), "invalid_input /input/event_id");
    check(&with("/attendee/email", json!("nowhere")), "invalid_input /input/attendee/email");
    check(&with("/attendee", json!({})), "invalid_input /input/attendee,/input/attendee");
    check(&json!([1]), "invalid_input /input");
    let mut more = input();
    more["surprise"] = json!(1);
    check(&more, "invalid_input /input");
}

#[test]
fn date_times_are_checked() {
    let contracts = contracts().expect("valid");
    let documents = saga_documents();
    let document =
        documents.iter().find(|document| document.path.starts_with("registration-cancellation/")).expect("ships");
    let definition = parse(document.path, document.text, &contracts).expect("valid");
    let with = |at: &str| json!({"registration_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002", "requested_at": at});
    let accepted = |at: &str| accept(&definition, &with(at), &BTreeSet::new()).is_ok();
    assert!(accepted("2026-01-02T10:00:00Z") && accepted("2026-01-02T10:00:00.123456789Z"));
    assert!(!accepted("2026-01-02") && !accepted("yesterday"));
}

#[test]
fn refusals_do_not_repeat_what_was_sent() {
    let mut personal = input();
    personal["attendee"]["email"] = json!("secret words");
    let problem = accept(&registration(), &personal, &BTreeSet::new()).expect_err("refused");
    assert!(!serde_json::to_string(&problem).expect("json").contains("secret"), "{problem:?}");
}

#[test]
fn size_and_number_of_complaints_are_bounded() {
    let mut large = input();
    large["payment_token"] = json!("x".repeat(SAGA_INPUT_BYTES_MAX));
    let problem = accept(&registration(), &large, &BTreeSet::new()).expect_err("refused");
    assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::TooLarge, "input_too_large"));
    let contracts = contracts().expect("valid");
    let yaml = "saga: s\nversion: 1\ntitle: t\ninput: {items: {type: string}}\nsteps:\n  - {name: a, call: registration.confirm@1, kind: pivot, input: {registration_id: /saga/id}}\n";
    let definition = parse("s", yaml, &contracts).expect("valid");
    let problem = accept(&definition, &json!(vec![1; 1000]), &BTreeSet::new()).expect_err("refused");
    assert_eq!(problem.errors.len(), FIELD_ERRORS_MAX);
}

#[test]
fn tags_are_few_and_plain() {
    let tagged = |tags: Vec<String>| accept(&registration(), &input(), &tags.into_iter().collect()).map_err(|p| p.code);
    assert_eq!(tagged(vec!["event-1".to_owned(), "vip".to_owned()]), Ok(()));
    for tag in ["", "Event", "a b", "a.b", "1a"] {
        assert_eq!(tagged(vec![tag.to_owned()]), Err("invalid_tags".to_owned()), "{tag}");
    }
    assert_eq!(tagged(vec!["x".repeat(65)]), Err("invalid_tags".to_owned()));
    assert_eq!(tagged((0..=TAGS_MAX).map(|number| format!("t{number}")).collect()), Err("invalid_tags".to_owned()));
}
