//! The person, as registration sees them.

use serde::{Deserialize, Serialize};

/// Who will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendee {
    /// As it stands on the badge.
    pub name: String,
    /// Where word goes.
    pub email: String,
    /// In which language, such as `fr` or `fr-CH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

impl Attendee {
    /// What tells two people apart: the e-mail address without regard to case. (Providers could tell cases apart by RFC 5321;
    /// none does, and people do not remember how they wrote it.)
    pub fn identity(&self) -> String {
        self.email.trim().to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_make_two_people() {
        let attendee = |email: &str| Attendee { name: "A".into(), email: email.into(), locale: None };
        assert_eq!(attendee("Ada@Example.org").identity(), attendee("ada@example.ORG").identity());
        assert_ne!(attendee("ada@example.org").identity(), attendee("bob@example.org").identity());
    }
}
