//! A rendered text becomes a MIME message (RFC 5322, RFC 2045): the same bytes for the same delivery, so that a repeat is a
//! repeat.

use std::time::SystemTime;

use lettre::address::Envelope;
use lettre::message::header::{ContentDisposition, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use uuid::Uuid;

use crate::domain::occasion::plain_line;
use crate::domain::{Delivery, Recipient};
use crate::settings::Sender;
use crate::template::Rendered;

/// Why a message cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The recipient's is no e-mail address.
    #[error("the recipient's address is not one that mail can be sent to")]
    Address,
    /// The library refuses: our own mistake.
    #[error("the message cannot be made")]
    Message,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// From whom to whom, as mail servers are told.
    pub envelope: Envelope,
    /// What they carry.
    pub bytes: Vec<u8>,
}

/// Name and address, as a header takes it.
///
/// # Errors
/// [`ComposeError::Address`].
pub fn mailbox(recipient: &Recipient) -> Result<Mailbox, ComposeError> {
    let address = recipient.email.parse().map_err(|_| ComposeError::Address)?;
    let name = plain_line(&recipient.name);
    Ok(Mailbox::new((!name.is_empty()).then_some(name), address))
}

/// Makes the message of a delivery: plain text and HTML as alternatives, and the calendar entry attached.
///
/// # Errors
/// [`ComposeError`].
pub fn compose(
    sender: &Sender,
    delivery: &Delivery,
    rendered: Rendered,
    calendar: Option<String>,
) -> Result<Outgoing, ComposeError> {
    let texts = MultiPart::alternative()
        .boundary(boundary(delivery, "alternative"))
        .singlepart(SinglePart::plain(rendered.text))
        .singlepart(SinglePart::html(rendered.html));
    let body = match calendar {
        None => texts,
        Some(calendar) => MultiPart::mixed()
            .boundary(boundary(delivery, "mixed"))
            .multipart(texts)
            .singlepart(calendar_part(calendar)?),
    };
    let message = Message::builder()
        .message_id(Some(delivery.message_id.clone()))
        .date(SystemTime::from(delivery.created_at))
        .from(sender.mailbox().clone())
        .to(mailbox(&delivery.recipient)?)
        .subject(rendered.subject)
        // No out-of-office replies, please (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(body)
        .map_err(|_| ComposeError::Message)?;
    Ok(Outgoing { envelope: message.envelope().clone(), bytes: message.formatted() })
}

fn calendar_part(calendar: String) -> Result<SinglePart, ComposeError> {
    let content_type =
        ContentType::parse("text/calendar; charset=utf-8; method=PUBLISH").map_err(|_| ComposeError::Message)?;
    Ok(SinglePart::builder().header(content_type).header(ContentDisposition::attachment("event.ics")).body(calendar))
}

/// A boundary that no text contains: it is derived from the delivery's id.
fn boundary(delivery: &Delivery, part: &str) -> String {
    Uuid::new_v5(&delivery.delivery_id.uuid(), part.as_bytes()).simple().to_string()
}
