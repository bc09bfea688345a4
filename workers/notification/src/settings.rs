//! What an operator says about mail: who sends, and by which way.

use std::path::PathBuf;

use lettre::message::Mailbox;
use serde::Deserialize;

use crate::mailer::SmtpServer;

/// The settings of this context. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettings {
    /// `Name <address>` of the sender.
    pub from: Sender,
    /// Where messages go.
    pub mail: MailRoute,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailRoute {
    /// To a mail server, `smtp://user:password@host:port` or `smtps://…`; see [`SmtpServer`].
    Smtp(SmtpServer),
    /// Into a folder, one `.eml` file for each delivery.
    Folder(PathBuf),
}

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not an address.
    #[error("`{0}` is not a sender; write `Name <address@domain>`")]
    Sender(String),
    /// Not the URL of a mail server. It is not repeated: it may hold a password.
    #[error("the URL of the mail server is refused: {0}")]
    Server(&'static str),
}

/// The sender of every message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `Name <address@domain>` or a bare address.
    ///
    /// # Errors
    /// [`SettingsError::Sender`].
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        text.parse().map(Self).map_err(|_| SettingsError::Sender(text.chars().take(254).collect()))
    }

    /// Name and address.
    pub const fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    /// The domain that message ids are made under.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl TryFrom<String> for Sender {
    type Error = SettingsError;
    fn try_from(text: String) -> Result<Self, SettingsError> {
        Self::parse(&text)
    }
}

impl Default for Sender {
    /// For development: a domain that no mail ever reaches (RFC 2606).
    fn default() -> Self {
        Self::parse("Amends <no-reply@amends.invalid>").expect("a valid mailbox, tested below")
    }
}

impl NotificationSettings {
    /// Writes `.eml` files into a folder, as `amends dev` does when no server is configured.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { from: Sender::default(), mail: MailRoute::Folder(folder.into()) }
    }

    /// Sends through a mail server.
    ///
    /// # Errors
    /// [`SettingsError::Server`].
    pub fn by_smtp(url: &str) -> Result<Self, SettingsError> {
        Ok(Self { from: Sender::default(), mail: MailRoute::Smtp(SmtpServer::parse(url)?) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn senders_are_mailboxes() {
        assert_eq!(Sender::default().domain(), "amends.invalid");
        assert_eq!(Sender::parse("Desk <desk@example.org>").expect("valid").domain(), "example.org");
        assert_eq!(Sender::parse("Amends <no-reply@localhost>").expect("valid").domain(), "localhost");
        for text in ["", "nobody", "Desk <desk>", "a@b\r\nBcc: c@d"] {
            assert!(matches!(Sender::parse(text), Err(SettingsError::Sender(_))), "{text:?}");
        }
    }

    #[test]
    fn settings_are_read_from_a_file_and_unknown_keys_refused() {
        let read = |value| serde_json::from_value::<NotificationSettings>(value);
        let by_smtp = read(json!({"from": "a@b.org", "mail": {"smtp": "smtp://u:secret@mail:2525"}})).expect("valid");
        assert!(!format!("{by_smtp:?}").contains("secret"), "{by_smtp:?}");
        read(json!({"from": "a@b.org", "mail": {"folder": "/tmp/mail"}})).expect("valid");
        assert!(read(json!({"from": "a@b.org", "mail": {"folder": "m"}, "bcc": "x"})).is_err());
        let error = read(json!({"from": "a@b.org", "mail": {"smtp": "http://u:secret@mail"}})).expect_err("scheme");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
