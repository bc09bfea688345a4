//! Where a page ended. Opaque to callers, who may only hand it back with the same question.

use amends_engine::ports::StoreError;
use sha2::{Digest, Sha256};

/// Hex digits of a rank: 8 bytes of time, 16 of id.
const RANK_DIGITS: usize = 48;

/// Hex digits that tell a cursor of another question, or one that was tampered with. It guards against mistakes, not against
/// anybody who means it: every position is allowed to everybody who may list.
const CHECK_DIGITS: usize = 16;

/// The cursor after a rank.
pub(crate) fn seal(rank: &str, question: &str) -> String {
    format!("{rank}{}", check(rank, question))
}

/// The rank of a cursor.
pub(crate) fn open(cursor: &str, question: &str) -> Result<String, StoreError> {
    match cursor.split_at_checked(RANK_DIGITS) {
        Some((rank, sum)) if sum == check(rank, question) => Ok(rank.to_owned()),
        Some(_) | None => Err(StoreError::Invalid(
            "the cursor is not one that a page of this list gave: ask for the first page, without a cursor".into(),
        )),
    }
}

fn check(rank: &str, question: &str) -> String {
    let digest = Sha256::digest(format!("amends cursor 1\n{question}\n{rank}"));
    digest.iter().take(CHECK_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_as_it_was_given_and_for_the_same_question() {
        let rank = "0".repeat(RANK_DIGITS);
        let cursor = seal(&rank, "s/stuck");
        assert_eq!(open(&cursor, "s/stuck").unwrap(), rank);
        for (tampered, question) in [
            (cursor.as_str(), "s/running"),
            (&cursor.replacen('0', "1", 1), "s/stuck"),
            (&cursor[..cursor.len() - 1], "s/stuck"),
            ("", "s/stuck"),
            ("é".repeat(40).as_str(), "s/stuck"),
        ] {
            assert!(matches!(open(tampered, question), Err(StoreError::Invalid(_))), "{tampered}");
        }
    }
}
