//! What is refused in a definition, where, and under which code: each case changes one thing in a sound document.

use amends_core::validate::parse;
use amends_schemas::contract::ContractRegistry;

const SOUND: &str = "saga: test
version: 1
title: Test
input:
  type: object
  required: [id]
  properties:
    id: {type: string}
    policy: {enum: [full, none]}
deadline: 15m
cancel_with:
  saga: other
  input: {id: /input/id, at: /cancel/requested_at}
steps:
  - name: reserve
    call: seats.hold@1
    kind: compensable
    input: {id: /input/id, mode: fast}
    compensate: undo
    timeout: 10s
    retry: {attempts: 3, backoff: 200ms, factor: 1.5, max_backoff: 10s, jitter: 0.5, only: [busy]}
    on_unknown: retry
  - name: pay
    when: {step: reserve, outcome: paid}
    call: money.take@1
    kind: pivot
    input: {id: /saga/id, amount: /steps/reserve/output/price}
    on_unknown: probe
  - name: tell
    when: {step: reserve, outcome: [paid]}
    call: mail.send@2
    kind: retriable
    input: {id: /input/id, text: {const: /not/a/pointer}}
output: {price: /steps/reserve/output/price/amount, how: /steps/reserve/outcome}
";

fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    let money = r#"{"type":"object","required":["amount"],"properties":{"amount":{"type":"string"},"currency":{}}}"#;
    for document in [
        format!(
            r##"{{"contract":"seats.hold@1","title":"t","outcomes":["paid","free"],"undo":true,"probe":false,
            "input":{{"type":"object","required":["id"],"properties":{{"id":{{"type":"string"}},"mode":{{"enum":["fast","slow"]}},"note":{{}}}}}},
            "output":{{"$defs":{{"money":{money}}},"type":"object","properties":{{"price":{{"$ref":"#/$defs/money"}},"any":{{}}}}}}}}"##
        ),
        format!(
            r#"{{"contract":"money.take@1","title":"t","undo":false,"probe":true,
            "input":{{"type":"object","required":["id","amount"],"properties":{{"id":{{}},"amount":{money}}}}},"output":{{}}}}"#
        ),
        r#"{"contract":"mail.send@2","title":"t","input":{"type":"object","properties":{"id":{},"text":{}}},"output":{}}"#
            .to_owned(),
    ] {
        registry.add("test.json", &document).expect("valid");
    }
    registry
}

/// Replaces `from`, which must be there, and expects exactly these findings: `line code`, and the first one's message to hold
/// `says`.
#[track_caller]
fn check(from: &str, to: &str, want: &[(usize, &str)], says: &str) {
    assert!(SOUND.contains(from), "nothing to replace: {from}");
    check_document(&SOUND.replacen(from, to, 1), want, says);
}

#[track_caller]
fn check_document(yaml: &str, want: &[(usize, &str)], says: &str) {
    let findings = parse("test/v1.yaml", yaml, &contracts()).map(|_| ()).expect_err("refused");
    let have: Vec<(usize, &str)> = findings.iter().map(|finding| (finding.line, finding.code)).collect();
    let all = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(have, want, "\n{all}");
    assert!(findings[0].message.contains(says), "`{says}` is not said in\n{all}");
    assert!(findings.iter().all(|finding| finding.file == "test/v1.yaml" && finding.column >= 1));
}

#[test]
fn the_sound_document_is_sound_and_its_hash_is_of_its_content() {
    let contracts = contracts();
    let parsed =
        |yaml: &str| parse("test/v1.yaml", yaml, &contracts).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let sound = parsed(SOUND);
    let relaid = SOUND
        .replace("on_unknown: probe\n", "on_unknown:   probe  # asks the gateway\n")
        .replace("version: 1\ntitle: Test\n", "title: \"Test\"\n\n# the first\nversion: 1\n");
    assert_eq!(parsed(&relaid).reference, sound.reference);
    assert_ne!(parsed(&SOUND.replace("15m", "16m")).reference.hash, sound.reference.hash);
    assert_eq!(sound.reference.to_string(), "test@1");
    assert_eq!(sound.reference.hash.len(), 64);
}

#[test]
fn what_is_not_yaml_or_no_definition() {
    check("title: Test\n", "title: [Test\n", &[(4, "yaml_syntax")], "illegal");
    check("title: Test\n", "title: Test\ntitle: Again\n", &[(4, "yaml_syntax")], "title");
    check_document("", &[(1, "wrong_type")], "write a map");
    check_document("- a\n", &[(1, "wrong_type")], "a list");
    check_document("{}", &[(1, "missing_key"); 5], "`saga: registration`");
}

#[test]
fn keys_and_types() {
    check("deadline: 15m", "dedline: 15m", &[(10, "unknown_key")], "did you mean `deadline`?");
    check("    on_unknown: retry", "    zzz: retry", &[(22, "unknown_key")], "it takes `name`, `call`");
    check("title: Test", "title: 5", &[(3, "wrong_type")], "is a number");
    check("title: Test", "title: ''", &[(3, "wrong_type")], "is empty");
    check("version: 1", "version: '1'", &[(2, "wrong_type")], "whole number");
    check("version: 1", "version: 0", &[(2, "bad_number")], "from 1");
    check("version: 1", "version: 1.5", &[(2, "bad_number")], "whole number");
    check("saga: test", "saga: Test", &[(1, "bad_name")], "lower-case");
    check("kind: pivot", "kind: pivott", &[(26, "unknown_word")], "did you mean `pivot`?");
    check("    kind: pivot\n", "", &[(23, "missing_key")], "`compensable`, `pivot` or `retriable`");
    check("on_unknown: retry", "on_unknown: never", &[(22, "unknown_word")], "`retry`, `probe` or `ask`");
}

#[test]
fn several_slips_are_found_at_once_in_the_order_of_the_document() {
    let yaml = SOUND.replace("title: Test", "titel: Test").replace("10s", "10 s").replace("kind: pivot", "kind: povit");
    let want =
        [(1, "missing_key"), (3, "unknown_key"), (20, "bad_duration"), (21, "bad_duration"), (26, "unknown_word")];
    check_document(&yaml, &want, "`title`");
}

#[test]
fn names_of_steps_and_contracts() {
    check("name: pay", "name: Pay!", &[(23, "bad_name")], "lower-case");
    check("name: pay", "name: reserve", &[(23, "duplicate_step")], "already a step `reserve`");
    check("  - name: pay\n", "  - \n", &[(24, "missing_key")], "needs `name`");
    check("call: money.take@1", "call: money.take", &[(25, "bad_contract_name")], "context.step@version");
    check(
        "call: money.take@1",
        "call: money.take@7",
        &[(25, "unknown_contract_version")],
        "did you mean `money.take@1`?",
    );
    check("call: money.take@1", "call: money.tkae@1", &[(25, "unknown_contract")], "did you mean `money.take@1`?");
    check("call: money.take@1", "call: what.ever@1", &[(25, "unknown_contract")], "schemas/contracts");
    check("    call: money.take@1\n", "", &[(23, "missing_key")], "`call`");
}

#[test]
fn pointers_that_lead_nowhere() {
    check("{id: /saga/id,", "{id: /sage/id,", &[(27, "unknown_pointer")], "a pointer starts with `/input`");
    check("{id: /saga/id,", "{id: /saga/name,", &[(27, "unknown_pointer")], "`/saga/id` or `/saga/started_at`");
    check("{id: /saga/id,", "{id: /cancel/reason,", &[(27, "unknown_pointer")], "only known in `cancel_with`");
    check("/cancel/requested_at", "/cancel/when", &[(13, "unknown_pointer")], "`requested_at`, `reason` and `by`");
    check("{id: /input/id, mode", "{id: /input/idd, mode", &[(18, "unknown_pointer")], "did you mean `id`?");
    check("{id: /input/id, mode", "{id: /input/id/deeper, mode", &[(18, "unknown_pointer")], "nothing lies within it");
    check(
        "/steps/reserve/output/price}",
        "/steps/reserve/output/prize}",
        &[(27, "unknown_pointer")],
        "did you mean `price`?",
    );
    check("price/amount", "price/cents", &[(34, "unknown_pointer")], "there are `amount` and `currency`");
    check("/steps/reserve/output/price}", "/steps/reserve/price}", &[(27, "unknown_pointer")], "output");
    check(
        "/steps/reserve/output/price}",
        "/steps/reserv/output/price}",
        &[(27, "unknown_step")],
        "did you mean `reserve`?",
    );
    check("/steps/reserve/output/price}", "/steps/tell/output/price}", &[(27, "later_step")], "further up");
    check("/steps/reserve/output/price}", "/steps/pay/output/price}", &[(27, "later_step")], "further up");
    check("how: /steps/reserve/outcome", "how: /steps/pay/outcome", &[(34, "unknown_pointer")], "no outcomes");
    check("{const: /not/a/pointer}", "{const: 1, b: 2}", &[(33, "bad_literal")], "alone");
}

#[test]
fn open_schemas_are_not_second_guessed() {
    let yaml =
        SOUND.replace("output/price/amount", "output/any/thing").replace("how: /steps/reserve/outcome", "all: /input");
    assert_eq!(parse("test/v1.yaml", &yaml, &contracts()).map(|_| ()), Ok(()));
}

#[test]
fn inputs_against_their_contract() {
    check("mode: fast", "mod: fast", &[(18, "unknown_input")], "did you mean `mode`?");
    check("mode: fast", "mode: quick", &[(18, "wrong_literal")], "quick");
    check("{id: /input/id, mode: fast}", "{mode: fast}", &[(18, "missing_input")], "needs `id`");
    check("    input: {id: /input/id, mode: fast}\n", "", &[(15, "missing_input")], "needs `id`");
    check(
        "amount: /steps/reserve/output/price}",
        "amount: {currency: EUR}}",
        &[(27, "missing_input")],
        "needs `amount`",
    );
    check("amount: /steps/reserve/output/price}", "amount: {amount: 5}}", &[(27, "wrong_literal")], "string");
}

#[test]
fn conditions() {
    let when = "when: {step: reserve, outcome: paid}";
    check(when, "when: {step: reserve, outcome: payed}", &[(24, "unknown_outcome")], "`paid` and `free`");
    check(when, "when: {step: tell, outcome: paid}", &[(24, "later_step")], "further up");
    check(when, "when: {step: nobody, outcome: paid}", &[(24, "unknown_step")], "before it come `reserve`");
    check(when, "when: {step: reserve}", &[(24, "bad_condition")], "{step: <name>");
    check(when, "when: paid", &[(24, "wrong_type")], "{step: <name>");
    check(when, "when: {input: /id, equals: x}", &[(24, "not_enumerated")], "`enum`");
    check(when, "when: {input: /input/policy, equals: full}", &[(24, "not_enumerated")], "write `/policy`");
    check(when, "when: {input: /policy, equals: partly}", &[(24, "unknown_value")], "one of `\"full\"` and `\"none\"`");
}

#[test]
fn compensation() {
    let undo = "    compensate: undo\n";
    check(undo, "", &[(15, "missing_compensation")], "`compensate: undo`");
    check(undo, "    compensate: {waive: ''}\n", &[(19, "missing_reason")], "why");
    check(undo, "    compensate: {waive: }\n", &[(19, "missing_reason")], "why");
    check(undo, "    compensate: redo\n", &[(19, "wrong_type")], "`undo`");
    check(undo, "    compensate: {undo: {timeout: 0s}}\n", &[(19, "bad_duration")], "from `1ms`");
    check(undo, "    compensate: {undo: {retry: {attempts: 0}}}\n", &[(19, "bad_number")], "from 1");
    check("kind: pivot\n", "kind: pivot\n    compensate: undo\n", &[(27, "compensation_not_applicable")], "leave");
    let yaml = SOUND
        .replace("kind: pivot\n", "kind: compensable\n    compensate: undo\n")
        .replace("kind: retriable", "kind: pivot");
    check_document(&yaml, &[(27, "undo_not_in_contract")], "money.take@1 has none");
    let yaml = SOUND.replace("kind: pivot\n", "kind: compensable\n").replace("kind: retriable", "kind: pivot");
    check_document(&yaml, &[(23, "missing_compensation")], "its contract has no undo");
}

#[test]
fn kinds_along_every_path() {
    check("kind: retriable", "kind: pivot", &[(32, "second_pivot")], "after `pay`");
    check(
        "    kind: retriable\n",
        "    kind: compensable\n    compensate: {waive: nothing}\n",
        &[(32, "not_retriable_after_pivot")],
        "(when `reserve` is `paid`)",
    );
    check("outcome: [paid]", "outcome: [paid, free]", &[(32, "retriable_before_pivot")], "(when `reserve` is `free`)");
    let yaml = SOUND.replace("kind: compensable\n", "kind: retriable\n").replace("    compensate: undo\n", "");
    check_document(&yaml, &[(17, "retriable_before_pivot")], "no pivot comes before it");
    // The same two pivots on paths that never meet are fine.
    let apart = SOUND.replace("outcome: [paid]", "outcome: free").replace("kind: retriable", "kind: pivot");
    assert_eq!(parse("test/v1.yaml", &apart, &contracts()).map(|_| ()), Ok(()));
}

#[test]
fn what_is_unknown_can_only_be_probed_where_there_is_a_probe() {
    check("on_unknown: retry", "on_unknown: probe", &[(22, "probe_not_in_contract")], "`retry` or `ask`");
}

#[test]
fn numbers_and_durations_have_bounds() {
    check("attempts: 3", "attempts: 0", &[(21, "bad_number")], "from 1");
    check("factor: 1.5", "factor: 0.5", &[(21, "bad_number")], "from 1");
    check("jitter: 0.5", "jitter: 1.5", &[(21, "bad_number")], "from 0 to 1");
    check("jitter: 0.5", "jitter: -0.1", &[(21, "bad_number")], "from 0 to 1");
    check("backoff: 200ms", "backoff: 200", &[(21, "wrong_type")], "`200ms`");
    check("backoff: 200ms", "backoff: 20s", &[(21, "bad_duration")], "shorter than `backoff`");
    check("only: [busy]", "only: []", &[(21, "wrong_type")], "a word");
    check("timeout: 10s", "timeout: 2d", &[(20, "bad_duration")], "24h");
    check("deadline: 15m", "deadline: 1y", &[(10, "bad_duration")], "`2d`");
    check("deadline: 15m", "deadline: 366d", &[(10, "bad_duration")], "8760h");
}

#[test]
fn too_much_is_refused() {
    let mut yaml = SOUND[..SOUND.find("steps:").expect("there")].to_owned() + "steps:\n";
    for number in 0..101 {
        yaml +=
            &format!("  - {{name: s{number}, call: mail.send@2, kind: compensable, compensate: {{waive: none}}}}\n");
    }
    check_document(&yaml, &[(15, "too_many_steps")], "at most 100");
    let mut yaml = SOUND[..SOUND.find("steps:").expect("there")].to_owned() + "steps:\n";
    let hold = "call: seats.hold@1, kind: compensable, compensate: undo, input: {id: /input/id}";
    for number in 0..13 {
        yaml += &format!("  - {{name: s{number}, {hold}}}\n");
    }
    for number in 0..13 {
        yaml += &format!("  - {{name: t{number}, {hold}, when: {{step: s{number}, outcome: paid}}}}\n");
    }
    check_document(&yaml, &[(15, "too_many_paths")], "4096");
    check("steps:\n", "steps: []\nx:\n", &[(14, "no_steps"), (15, "unknown_key")], "at least one");
}

#[test]
fn the_input_must_be_a_json_schema() {
    check("id: {type: string}", "id: {type: strin}", &[(8, "bad_schema")], "input/properties/id/type");
    let start = SOUND.find("input:").expect("there");
    let end = SOUND.find("deadline:").expect("there");
    let yaml = format!("{}input: yes\n{}", &SOUND[..start], &SOUND[end..]);
    check_document(&yaml, &[(4, "wrong_type")], "a JSON Schema");
}

#[test]
fn what_cancels_forward_must_be_told_something() {
    check(
        "  input: {id: /input/id, at: /cancel/requested_at}\n",
        "",
        &[(12, "missing_key")],
        "`cancel_with` needs `input`",
    );
    check("{id: /input/id, at: /cancel/requested_at}", "{}", &[(13, "missing_input")], "map at least");
    check("  saga: other\n", "", &[(12, "missing_key")], "the name of the saga");
    check("  saga: other\n", "  saga: other\n  version: 2\n", &[(13, "unknown_key")], "`saga` and `input`");
}
