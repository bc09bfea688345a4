//! Hands a message over, and says what came of it.
//!
//! * [`smtp`]: to a mail server.
//! * [`folder`]: into a folder, as an `.eml` file.

pub mod folder;
pub mod smtp;

use amends_schemas::ids::DeliveryId;
use amends_sdk::Failure;

pub use folder::MailFolder;
pub use smtp::{SmtpMailer, SmtpServer};

use crate::compose::Outgoing;
use crate::settings::{MailRoute, NotificationSettings};

/// How a message was not handed over. Texts name codes, never addresses or contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nobody answers, or the talk broke off before the message was sent.
    #[error("the mail server cannot be reached")]
    Unreachable,
    /// It asks to come later (a 4xx reply).
    #[error("the mail server is busy (reply {0})")]
    Busy(u16),
    /// It refuses us (login, sender): an operator can put that right.
    #[error("the mail server refuses the sender or the login (reply {0})")]
    Refuses(u16),
    /// It refuses the recipient for good.
    #[error("the mail server refuses the recipient (reply {0})")]
    RecipientRejected(u16),
    /// It refuses the message for good.
    #[error("the mail server refuses the message (reply {0})")]
    MessageRejected(u16),
    /// The message was sent and the answer never came: it may have been accepted.
    #[error("the mail server did not say whether it took the message")]
    InDoubt,
    /// The folder cannot be written.
    #[error("the mail folder cannot be written ({0})")]
    Folder(std::io::ErrorKind),
}

impl MailError {
    /// Stable, in `snake_case`.
    pub const fn code(&self) -> &'static str {
        match self {
            MailError::Unreachable => "mail_server_unreachable",
            MailError::Busy(_) => "mail_server_busy",
            MailError::Refuses(_) => "mail_server_refuses",
            MailError::RecipientRejected(_) => "recipient_rejected",
            MailError::MessageRejected(_) => "message_rejected",
            MailError::InDoubt => "mail_in_doubt",
            MailError::Folder(_) => "mail_folder_unavailable",
        }
    }
}

impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            MailError::Unreachable | MailError::Busy(_) | MailError::Refuses(_) | MailError::Folder(_) => {
                Failure::retry(code, message)
            }
            MailError::RecipientRejected(_) | MailError::MessageRejected(_) => Failure::failed(code, message),
            MailError::InDoubt => Failure::unknown(code, message),
        }
    }
}

/// The way messages take.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// To a mail server.
    Smtp(SmtpMailer),
    /// Into a folder.
    Folder(MailFolder),
}

impl Mailer {
    /// The one that is configured.
    pub fn new(settings: &NotificationSettings) -> Self {
        match &settings.mail {
            MailRoute::Smtp(server) => Self::Smtp(SmtpMailer::new(server.clone(), settings.from.domain())),
            MailRoute::Folder(folder) => Self::Folder(MailFolder::new(folder.clone())),
        }
    }

    /// Hands a message over; returns once it is accepted. Bounded in time by [`smtp::SEND_TIME_MAX`].
    ///
    /// # Errors
    /// [`MailError`]; only after [`MailError::InDoubt`] may it have been accepted.
    pub async fn send(&self, delivery_id: DeliveryId, message: Outgoing) -> Result<(), MailError> {
        match self {
            Mailer::Smtp(mailer) => mailer.send(&message).await,
            Mailer::Folder(folder) => folder.write(delivery_id, message.bytes).await,
        }
    }
}
