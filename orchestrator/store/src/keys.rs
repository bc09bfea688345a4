//! By what a saga is found: the keys of its row, and its places in the two orders of lists.
//!
//! | key | whose |
//! |---|---|
//! | `*` | every saga's |
//! | `d/<definition>`, `v/<definition>/<version>` | every saga's |
//! | `s/<status>`, `sd/<status>/<definition>` | every saga's that is not completed |
//! | `t/<tag>`, `k/<kind>` | with that tag; the kind of `event_17` is `event` |
//! | `st/<status>/<tag>` | with that tag, when it is not completed |
//! | `p` | paused |
//! | `x/<step>`, `e/<code>`, `w/<word>` | standing at that step, with that error, whose text has that word |
//! | `u/<partition>` | unsettled: what a new owner of the partition loads |
//!
//! Those that every saga has, and those of its tags, last as long as it does; the others pass. Lasting keys of a saga that completed stand in posting
//! lists ([`postings`](crate::postings)), if it completed together with others; all keys of all other sagas in indexes.
//!
//! Completed is how nearly all sagas end, so that a list of the completed is a list of all with a few left out: no key says so, which spares
//! the sagas that are written most a third of their keys. Rows that were written with such keys are found all the same.

use amends_core::standing::Standing;
use amends_core::state::SagaState;
use amends_schemas::ids::PartitionId;
use amends_schemas::saga::SagaStatus;
use amends_schemas::search::words;

/// What this version writes into rows to find them by. Rows of an earlier version are brought up to it when they are next projected, and
/// in the background ([`rekey`](crate::rekey)). A change of what stands in `keys` or `turns` gets the next number.
pub(crate) const VIEW_VERSION: i64 = 1;

/// The key that every saga has.
pub(crate) const EVERY: &str = "*";

/// Every key under which a saga is found.
pub(crate) fn keys_of(partition: PartitionId, state: &SagaState, standing: &[Standing]) -> Vec<String> {
    let definition = &*state.definition.name;
    let mut keys = lasting_keys(definition, state.definition.version.into(), &state.tags);
    if is_marked(state.status) {
        keys.push(of_status(state.status));
        keys.push(of_both(state.status, definition));
        keys.extend(state.tags.iter().map(|tag| of_status_and_tag(state.status, tag)));
    }
    if state.paused {
        keys.push(of_paused());
    }
    if !state.is_settled() {
        keys.push(unsettled_key(partition));
    }
    let errors = standing.iter().filter_map(|at| at.error.as_ref());
    keys.extend(standing.iter().map(|at| of_step(&at.step)));
    keys.extend(errors.clone().map(|error| of_error(&error.code)));
    keys.extend(words(errors.flat_map(|error| [&*error.code, &*error.message])).iter().map(|word| of_word(word)));
    once(keys)
}

/// Those that it has from its acceptance to its end: all that one has which completed.
pub(crate) fn lasting_keys<'a>(
    definition: &str,
    version: i64,
    tags: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let mut keys = lasting_turns(definition);
    keys.push(of_version(definition, version));
    for tag in tags {
        keys.push(of_tag(tag));
        keys.extend(kind_of(tag).map(of_kind));
    }
    once(keys)
}

/// Whether a key is one of them.
pub(crate) fn lasts(key: &str) -> bool {
    key == EVERY || ["d/", "v/", "t/", "k/"].iter().any(|kind| key.starts_with(kind))
}

/// Several tags of a kind, or branches with the same error: a saga has a key once.
fn once(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys under which it has a place in the order of changes. Fewer than of the other order: each change of a saga moves all of them.
pub(crate) fn turns_of(state: &SagaState) -> Vec<String> {
    let mut turns = lasting_turns(&state.definition.name);
    turns.extend(is_marked(state.status).then(|| of_status(state.status)));
    turns
}

/// Those of them that it has from its acceptance to its end.
pub(crate) fn lasting_turns(definition: &str) -> Vec<String> {
    vec![EVERY.to_owned(), of_definition(definition)]
}

/// Whether keys say that a saga has this status.
pub(crate) fn is_marked(status: SagaStatus) -> bool {
    status != SagaStatus::Completed
}

/// The key of what a new owner of a partition must load.
pub(crate) fn unsettled_key(partition: PartitionId) -> String {
    format!("u/{partition}")
}

pub(crate) fn of_status(status: SagaStatus) -> String {
    format!("s/{}", status.as_str())
}

pub(crate) fn of_definition(definition: &str) -> String {
    format!("d/{definition}")
}

pub(crate) fn of_both(status: SagaStatus, definition: &str) -> String {
    format!("sd/{}/{definition}", status.as_str())
}

pub(crate) fn of_version(definition: &str, version: i64) -> String {
    format!("v/{definition}/{version}")
}

pub(crate) fn of_tag(tag: &str) -> String {
    format!("t/{tag}")
}

pub(crate) fn of_status_and_tag(status: SagaStatus, tag: &str) -> String {
    format!("st/{}/{tag}", status.as_str())
}

/// What stands before the first `_` of a tag, or of how a tag begins.
pub(crate) fn kind_of(tag: &str) -> Option<&str> {
    tag.split_once('_').map(|(kind, _)| kind)
}

pub(crate) fn of_kind(kind: &str) -> String {
    format!("k/{kind}")
}

pub(crate) fn of_paused() -> String {
    "p".to_owned()
}

pub(crate) fn of_step(step: &str) -> String {
    format!("x/{step}")
}

pub(crate) fn of_error(code: &str) -> String {
    format!("e/{code}")
}

pub(crate) fn of_word(word: &str) -> String {
    format!("w/{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_completed_sagas_are_found_by_lasts_and_nothing_else_does() {
        let tags = ["event_1".to_owned(), "vip".to_owned()];
        let lasting = lasting_keys("d", 1, &tags);
        assert_eq!(lasting.len(), 6);
        assert!(lasting.iter().chain(&lasting_turns("d")).all(|key| lasts(key)), "{lasting:?}");
        let (stuck, p) = (SagaStatus::Stuck, PartitionId(3));
        let passing =
            [of_status(stuck), of_both(stuck, "d"), of_status_and_tag(stuck, "vip"), of_paused(), unsettled_key(p)];
        let standing = [of_step("pay"), of_error("code"), of_word("word")];
        assert!(!passing.iter().chain(&standing).any(|key| lasts(key)));
    }

    #[test]
    fn the_kind_of_a_tag_is_what_stands_before_its_value() {
        for (tag, kind) in [("event_17", Some("event")), ("vip", None), ("event_", Some("event")), ("a_b_c", Some("a"))]
        {
            assert_eq!(kind_of(tag), kind, "{tag}");
        }
    }
}
