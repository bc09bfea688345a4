//! What is refused between definitions: the sagas that one names, and released documents that have changed.

use amends_core::definition::DefinitionLibrary;
use amends_core::validate::{check_links, check_released, parse};
use amends_schemas::contract::{ContractName, ContractRegistry};

const PARENT: &str = "saga: parent
version: 1
title: Parent
input: {type: object, properties: {id: {type: string}, ids: {type: array, items: {type: string}}}}
cancel_with:
  saga: back
  input: {id: /input/id}
steps:
  - name: badge
    saga: badge@1
    kind: compensable
    input: {id: /input/id, size: small}
    compensate: cancel
  - parallel:
      - {name: pay, call: a.b@1, kind: compensable, compensate: {waive: nothing}}
      - steps:
          - name: tell
            saga: tell
            for_each: /input/ids
            kind: compensable
            input: {id: /item}
            compensate: {waive: said is said}
";

const BADGE: &str = "
saga: badge
version: 1
title: Badge
input: {type: object, required: [id], additionalProperties: false, properties: {id: {type: string}, size: {enum: [small, large]}}}
cancel_with: {saga: back, input: {id: /input/id}}
steps:
  - {name: a, call: a.b@1, kind: pivot}
";

const TELL: &str = "
saga: tell
version: 3
title: Tell
input: {type: object, required: [id], additionalProperties: false, properties: {id: {type: string}}}
steps:
  - {name: a, call: a.b@1, kind: pivot}
";

fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    registry.add("test.json", r#"{"contract":"a.b@1","title":"t","input":{},"output":{}}"#).expect("valid");
    registry
}

fn library(documents: &[&str]) -> DefinitionLibrary {
    let mut library = DefinitionLibrary::default();
    for yaml in documents {
        let definition = parse("x.yaml", yaml, &contracts()).unwrap_or_else(|findings| panic!("{findings:#?}"));
        library.add(definition).expect("one of each");
    }
    library
}

/// Expects exactly these findings in the first document among all: `line code`, and the first one's message to hold `says`.
#[track_caller]
fn check_among(documents: &[&str], want: &[(usize, &str)], says: &str) {
    let definition =
        parse("test/v1.yaml", documents[0], &contracts()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let findings = check_links("test/v1.yaml", &definition, &library(documents));
    let have: Vec<(usize, &str)> = findings.iter().map(|finding| (finding.line, finding.code)).collect();
    let all = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(have, want, "\n{all}");
    assert!(says.is_empty() || findings[0].message.contains(says), "`{says}` is not said in\n{all}");
}

/// The parent with one thing changed.
#[track_caller]
fn check(from: &str, to: &str, want: &[(usize, &str)], says: &str) {
    assert!(PARENT.contains(from), "nothing to replace: {from}");
    let back = TELL.replace("saga: tell", "saga: back");
    check_among(&[&PARENT.replacen(from, to, 1), BADGE, TELL, &back], want, says);
}

#[test]
fn the_sagas_that_are_named_must_be_there() {
    check("", "", &[], "");
    check("saga: badge@1", "saga: badge", &[], "");
    check("saga: badge@1", "saga: badge@2", &[(10, "unknown_saga_version")], "did you mean `badge@1`?");
    check("saga: badge@1", "saga: badges", &[(10, "unknown_saga")], "did you mean `badge`?");
    check("saga: tell", "saga: nobody", &[(18, "unknown_saga")], "no saga `nobody`");
    check("saga: back", "saga: bakc", &[(6, "unknown_saga")], "did you mean `back`?");
}

#[test]
fn they_take_what_they_are_given() {
    check(
        "{id: /input/id, size: small}",
        "{idd: /input/id}",
        &[(12, "missing_input"), (12, "unknown_input")],
        "badge@1 needs `id`",
    );
    check("size: small", "size: middling", &[(12, "wrong_literal")], "badge@1 does not take this");
    check("            input: {id: /item}\n", "", &[(17, "missing_input")], "tell@3 needs `id`");
    check("input: {id: /item}", "input: {id: /item, no: /index}", &[(21, "unknown_input")], "tell@3 takes no `no`");
    check(
        "  input: {id: /input/id}",
        "  input: {id: /input/id, by: /cancel/by}",
        &[(7, "unknown_input")],
        "back@3 takes no `by`",
    );
}

#[test]
fn what_is_to_be_cancelled_says_how() {
    check(
        "compensate: {waive: said is said}",
        "compensate: cancel",
        &[(22, "not_cancellable")],
        "tell@3 has no `cancel_with`",
    );
}

#[test]
fn no_saga_starts_itself() {
    let itself = |at: &str| {
        format!(
            "saga: one\nversion: 2\ntitle: t\ninput: {{}}\nsteps:\n  - {{name: a, saga: {at}, kind: compensable, compensate: {{waive: no}}}}\n"
        )
    };
    let with = |name: &str, starts: &str| itself(starts).replacen("saga: one", &format!("saga: {name}"), 1);
    check_among(&[&itself("one")], &[(6, "saga_circle")], "one@2 starts `one@2`: that would never end");
    check_among(&[&itself("one@2")], &[(6, "saga_circle")], "");
    let older = TELL.replace("saga: tell\nversion: 3", "saga: one\nversion: 1").replace("required: [id], ", "");
    check_among(&[&itself("one@1"), &older], &[], "");
    check_among(
        &[&itself("two"), &with("two", "three"), &with("three", "one")],
        &[(6, "saga_circle")],
        "`two@2`, which starts `three@2`, which starts `one@2`",
    );
    // It leads into a circle, but stands on none.
    check_among(&[&itself("two"), &with("two", "three"), &with("three", "two")], &[], "");
}

/// Expects exactly these codes of the list, and the first one's message to hold each of `says`.
#[track_caller]
fn check_list(released: &str, want: &[&str], says: &[&str]) {
    check_list_of(released, "", |_| true, want, says);
}

/// As [`check_list`], with a contract beside the definition.
#[track_caller]
fn check_list_of(released: &str, contract: &str, beside: fn(&ContractName) -> bool, want: &[&str], says: &[&str]) {
    let mut contracts = ContractRegistry::empty();
    if !contract.is_empty() {
        contracts.add("contract", contract).expect("a contract");
    }
    let findings = check_released("released.json", released, &library(&[TELL]), &contracts, beside);
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), want, "{findings:#?}");
    for says in says {
        assert!(findings[0].message.contains(says), "`{says}` is not said in {findings:#?}");
    }
}

#[test]
fn what_was_released_neither_changes_nor_vanishes() {
    let hash = library(&[TELL]).iter().next().map(|tell| tell.reference.hash.to_string()).expect("one");
    check_list(&format!(r#"{{"tell@3": "{hash}"}}"#), &[], &[]);
    check_list(r#"{"tell@3": "00"}"#, &["released_changed"], &["hash 00", &hash, "`tell/v4.yaml`", "`version: 4`"]);
    check_list(
        &format!(r#"{{"tell@2": "00", "tell@3": "{hash}"}}"#),
        &["released_missing"],
        &["tell@2", "put it back"],
    );
    check_list("{}", &["not_released"], &[&format!(r#"adding `"tell@3": "{hash}"`"#)]);
    check_list("[]", &["bad_released"], &["`name@version`"]);
}

#[test]
fn contracts_are_frozen_once_a_list_names_one() {
    const SEND: &str = r#"{"contract":"mail.send@2","title":"Send","input":{"type":"object"},"output":{}}"#;
    const SENT: &str = "11998634cce8404719db8db2e56fd6d3f43b951112a013cb49bfd59d93e64891";
    let tell = library(&[TELL]).iter().next().map(|tell| tell.reference.hash.to_string()).expect("one");
    let list = |more: &str| format!(r#"{{"tell@3": "{tell}"{more}}}"#);
    let here: fn(&ContractName) -> bool = |_| true;
    let elsewhere: fn(&ContractName) -> bool = |_| false;
    check_list_of(&list(""), SEND, here, &[], &[]);
    let named = list(&format!(r#", "mail.send@2": "{SENT}""#));
    check_list_of(&named, SEND, here, &[], &[]);
    check_list_of(&named, &SEND.replace(r#""title":"Send""#, r#""title":"Send mail","undo":false"#), here, &[], &[]);
    let says: &[&str] = &[
        "hash 11998634cce8404719db8db2e56fd6d3f43b951112a013cb49bfd59d93e64891",
        "may still call it",
        "`mail/send.v2.json` back",
        "`mail/send.v3.json`",
        r#"`"contract": "mail.send@3"`"#,
    ];
    for (from, to) in
        [(r#""output":{}"#, r#""output":{},"undo":true"#), (r#"{"type":"object"}"#, r#"{"type":"array"}"#)]
    {
        // Wherever it lies: it is named.
        check_list_of(&named, &SEND.replace(from, to), elsewhere, &["released_changed"], says);
    }
    check_list_of(&named, "", here, &["released_missing"], &["mail.send@2", "may still call it", "put it back"]);
    let other = SEND.replace("mail.send@2", "mail.fetch@1");
    check_list_of(&named, &other, here, &["released_missing", "not_released"], &[]);
    let both = list(r#", "mail.send@2": "00""#);
    check_list_of(&both, &other, elsewhere, &["released_missing"], &[]);
}
