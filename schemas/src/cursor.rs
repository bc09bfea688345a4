//! Where a page ended. Opaque to callers, who may only hand it back with the same question.

use sha2::{Digest, Sha256};

/// Hex digits that tell a cursor of another question, or one that was tampered with. It guards against mistakes, not against
/// anybody who means it: every position is allowed to everybody who may list.
const CHECK_DIGITS: usize = 16;

/// The cursor after a position, for who asks the same question again. A position is text that sorts as its list does, made of
/// characters that a URL's query carries as they are.
pub fn seal(position: &str, question: &str) -> String {
    format!("{position}{}", check(position, question))
}

/// The position of a cursor; none when no page of this question gave it.
pub fn open<'a>(cursor: &'a str, question: &str) -> Option<&'a str> {
    let (position, sum) = cursor.split_at_checked(cursor.len().checked_sub(CHECK_DIGITS)?)?;
    (sum == check(position, question)).then_some(position)
}

fn check(position: &str, question: &str) -> String {
    let digest = Sha256::digest(format!("amends cursor 1\n{question}\n{position}"));
    hex::encode(&digest[..CHECK_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_as_it_was_given_and_for_the_same_question() {
        let position = "0".repeat(48);
        let cursor = seal(&position, "s/stuck");
        assert_eq!(open(&cursor, "s/stuck"), Some(position.as_str()));
        for (tampered, question) in [
            (cursor.as_str(), "s/running"),
            (&cursor.replacen('0', "1", 1), "s/stuck"),
            (&cursor[..cursor.len() - 1], "s/stuck"),
            ("", "s/stuck"),
            ("é".repeat(40).as_str(), "s/stuck"),
            ("aé000000000000000", "s/stuck"),
        ] {
            assert_eq!(open(tampered, question), None, "{tampered}");
        }
    }
}
