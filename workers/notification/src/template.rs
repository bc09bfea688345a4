//! The texts: compiled in from `templates/<name>.<locale>.{subject.txt,body.txt,body.html}`, rendered strictly.
//!
//! Strictly means that a value the text needs and does not get is an error, not a blank: nobody is sent half a sentence.

use std::fmt;
use std::str::FromStr;

use amends_schemas::ids::RegistrationId;
use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::domain::Locale;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// A message we can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageTemplate {
    /// The seat is confirmed.
    RegistrationConfirmed,
    /// There is a place in the queue.
    RegistrationWaitlisted,
    /// The seat is given up.
    RegistrationCancelled,
}

impl MessageTemplate {
    /// All of them.
    pub const ALL: [MessageTemplate; 3] = [
        MessageTemplate::RegistrationConfirmed,
        MessageTemplate::RegistrationWaitlisted,
        MessageTemplate::RegistrationCancelled,
    ];

    /// As it stands in contracts and file names.
    pub const fn name(self) -> &'static str {
        match self {
            MessageTemplate::RegistrationConfirmed => "registration-confirmed",
            MessageTemplate::RegistrationWaitlisted => "registration-waitlisted",
            MessageTemplate::RegistrationCancelled => "registration-cancelled",
        }
    }
}

impl FromStr for MessageTemplate {
    type Err = TemplateError;
    fn from_str(name: &str) -> Result<Self, TemplateError> {
        Self::ALL
            .into_iter()
            .find(|template| template.name() == name)
            .ok_or_else(|| TemplateError::Unknown(name.chars().take(64).collect()))
    }
}

/// Why a message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No template of this name.
    #[error("there is no template `{0}`")]
    Unknown(String),
    /// A value is missing, or not of the kind the text needs. Names the place in the template, never the values.
    #[error("{template}, line {line}: the text needs a value that was not given")]
    Data {
        /// The file.
        template: String,
        /// The line in it.
        line: usize,
    },
    /// The template itself is wrong.
    #[error("{template}, line {line}: {kind}")]
    Broken {
        /// The file.
        template: String,
        /// The line in it.
        line: usize,
        /// What the engine says.
        kind: String,
    },
}

/// What texts may speak of. What is absent is undefined in the text.
#[derive(Debug, Clone, Serialize)]
pub struct Facts<'a> {
    /// To whom.
    pub recipient: RecipientFacts<'a>,
    /// About what.
    pub registration_id: RegistrationId,
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventFacts<'a>>,
    /// The seat's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<u64>,
    /// The place in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// What is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<String>,
    /// The invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_number: Option<&'a str>,
    /// The credit note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_note_number: Option<&'a str>,
}

/// The person.
#[derive(Debug, Clone, Serialize)]
pub struct RecipientFacts<'a> {
    /// Name.
    pub name: &'a str,
}

/// The event.
#[derive(Debug, Clone, Serialize)]
pub struct EventFacts<'a> {
    /// Title.
    pub title: &'a str,
    /// Times in its own zone, in the reader's language.
    pub when: String,
}

/// A written message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// All templates, parsed.
pub struct Templates {
    environment: Environment<'static>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").finish_non_exhaustive()
    }
}

impl Templates {
    /// Parses what is compiled in.
    ///
    /// # Errors
    /// [`TemplateError::Broken`]; a test keeps this from happening in a release.
    pub fn load() -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A line that holds only `{% … %}` leaves no blank line behind.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| failure("syntax", &error))?);
        for file in TEMPLATES.files() {
            if let (Some(name), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
                environment.add_template(name, text).map_err(|error| failure(name, &error))?;
            }
        }
        Ok(Self { environment })
    }

    /// Writes a message.
    ///
    /// # Errors
    /// [`TemplateError::Data`] when the facts lack what the text needs.
    pub fn render(
        &self,
        template: MessageTemplate,
        locale: Locale,
        facts: &Facts<'_>,
    ) -> Result<Rendered, TemplateError> {
        let facts = Value::from(Serde(facts));
        let part = |part: &str| {
            let name = format!("{}.{}.{part}", template.name(), locale.code());
            let text = self.environment.get_template(&name).and_then(|template| template.render(facts.clone()));
            text.map_err(|error| failure(&name, &error))
        };
        let subject = part("subject.txt")?.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Rendered { subject, text: part("body.txt")?, html: part("body.html")? })
    }
}

/// Leaves out the engine's own text where it may quote a value.
fn failure(template: &str, error: &minijinja::Error) -> TemplateError {
    let (template, line) = (error.name().unwrap_or(template).to_owned(), error.line().unwrap_or_default());
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::Data { template, line },
        kind => TemplateError::Broken { template, line, kind: kind.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn facts<'a>(event: Option<EventFacts<'a>>, position: Option<u64>) -> Facts<'a> {
        Facts {
            recipient: RecipientFacts { name: "Zoé <b>" },
            registration_id: RegistrationId(Uuid::from_u128(7)),
            event,
            seat: None,
            position,
            amount: None,
            refund: None,
            invoice_number: None,
            credit_note_number: None,
        }
    }

    #[test]
    fn every_template_is_there_in_every_language() {
        let templates = Templates::load().expect("all parse");
        for template in MessageTemplate::ALL {
            for locale in Locale::ALL {
                let event = EventFacts { title: "Rust & Co", when: "then".to_owned() };
                let message = templates.render(template, locale, &facts(Some(event), Some(3))).expect("written");
                assert!(message.subject.contains("Rust & Co"), "{}", message.subject);
                assert!(message.text.contains("Zoé <b>") && message.text.contains("then"), "{}", message.text);
                assert!(
                    message.html.contains("Zoé &lt;b&gt;") && message.html.contains("Rust &amp; Co"),
                    "{}",
                    message.html
                );
            }
        }
        assert_eq!(TEMPLATES.files().count(), MessageTemplate::ALL.len() * Locale::ALL.len() * 3, "no stray file");
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_the_place() {
        let templates = Templates::load().expect("all parse");
        let event = || Some(EventFacts { title: "x", when: "then".to_owned() });
        for (template, facts) in [
            (MessageTemplate::RegistrationConfirmed, facts(None, None)),
            (MessageTemplate::RegistrationCancelled, facts(None, None)),
            (MessageTemplate::RegistrationWaitlisted, facts(event(), None)),
        ] {
            let error = templates.render(template, Locale::En, &facts).expect_err("lacks a value");
            assert!(
                matches!(&error, TemplateError::Data { template: file, .. } if file.starts_with(template.name())),
                "{error}"
            );
            assert!(!error.to_string().contains("Zoé"), "{error}");
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!("reminder".parse::<MessageTemplate>(), Err(TemplateError::Unknown("reminder".to_owned())));
        for template in MessageTemplate::ALL {
            assert_eq!(template.name().parse(), Ok(template));
        }
    }
}
