//! Hands messages to a mail server over SMTP, one connection for each message.
//!
//! The stages are taken one by one rather than through lettre's transport, because it matters how far the talk came when it
//! broke: before the message was sent nothing has happened, after it nobody knows (RFC 5321, 4.5.3.2.6 and 6.1).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lettre::address::{Address, Envelope};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::MailError;
use crate::compose::Outgoing;
use crate::settings::SettingsError;

/// How long one message may take in all: below the 30 s that sagas give the step, so that the answer is ours.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(25);

/// How long a server may take to accept a connection and greet: a dead one is found out soon.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long saying goodbye may take: the message is accepted by then.
const QUIT_TIME_MAX: Duration = Duration::from_secs(1);

/// Connections of this process at once: mail servers turn away clients that open many (Postfix at 50), and a worker serves
/// more commands at once than that.
const CONNECTIONS_MAX: usize = 16;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte: `smtps://`.
    Wrapped,
    /// By STARTTLS, or not at all: `smtp://…?tls=required`.
    Required,
    /// By STARTTLS where the server offers it: `smtp://`.
    Offered,
    /// Never, for a server on the same machine: `smtp://…?tls=never`.
    Never,
}

/// Where the mail server is and who signs in: `smtp://user:password@host:port` or `smtps://…`. User and password are
/// percent-encoded; the ports default to 25 and 465. `?tls=required` insists on STARTTLS, `?tls=never` does without.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SmtpServer {
    host: String,
    port: u16,
    encryption: Encryption,
    login: Option<(String, String)>,
}

impl fmt::Debug for SmtpServer {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("encryption", &self.encryption)
            .field("login", &self.login.is_some())
            .finish()
    }
}

impl TryFrom<String> for SmtpServer {
    type Error = SettingsError;
    fn try_from(url: String) -> Result<Self, SettingsError> {
        Self::parse(&url)
    }
}

impl SmtpServer {
    /// Reads its URL.
    ///
    /// # Errors
    /// [`SettingsError::Server`], which does not repeat it.
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        let refuse = SettingsError::Server;
        let url = Url::parse(url).map_err(|_| refuse("it is no URL; write smtp://host:port"))?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (encryption, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => (Encryption::Wrapped, 465),
            ("smtp", None) => (Encryption::Offered, 25),
            ("smtp", Some("required")) => (Encryption::Required, 25),
            ("smtp", Some("never")) => (Encryption::Never, 25),
            ("smtp" | "smtps", Some(_)) => {
                return Err(refuse("after `?tls=` stands `required` or `never`, and smtp://"));
            }
            _ => return Err(refuse("it starts with smtp:// or smtps://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(refuse("it names no host"))?;
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(|text| text.into_owned())
                .map_err(|_| refuse("the login is not UTF-8"))
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user)?, decode(password.unwrap_or_default())?)),
        };
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), encryption, login })
    }

    fn tls(&self) -> Result<TlsParameters, MailError> {
        TlsParameters::new(self.host.clone()).map_err(|_| MailError::Unreachable)
    }
}

/// Hands messages to one server.
#[derive(Debug, Clone)]
pub struct SmtpMailer {
    server: SmtpServer,
    hello: ClientId,
    connections: Arc<Semaphore>,
}

impl SmtpMailer {
    /// `domain` is what we greet with.
    pub fn new(server: SmtpServer, domain: &str) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { server, hello: ClientId::Domain(domain.to_owned()), connections }
    }

    /// Hands a message over; returns once the server has answered that it takes it.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, message: &Outgoing) -> Result<(), MailError> {
        let deadline = Instant::now() + SEND_TIME_MAX;
        let waiting = timeout_at(deadline, self.connections.acquire()).await;
        let _place = waiting.map_err(|_| MailError::Unreachable)?.map_err(|_| MailError::Unreachable)?;
        let mut connection = self.connect(deadline).await?;
        introduce(&mut connection, deadline, &message.envelope).await?;
        let told = timeout_at(deadline, connection.message(&message.bytes)).await;
        match told {
            Ok(Ok(_)) => {
                let _ = timeout(QUIT_TIME_MAX, connection.quit()).await;
                Ok(())
            }
            Ok(Err(error)) => Err(match reply(&error) {
                Some(Reply::Later(code)) => MailError::Busy(code),
                Some(Reply::Never(code)) => MailError::MessageRejected(code),
                None => MailError::InDoubt,
            }),
            Err(_) => Err(MailError::InDoubt),
        }
    }

    /// Connects, encrypts and signs in.
    async fn connect(&self, deadline: Instant) -> Result<AsyncSmtpConnection, MailError> {
        let server = &self.server;
        let wrapped = match server.encryption {
            Encryption::Wrapped => Some(server.tls()?),
            Encryption::Required | Encryption::Offered | Encryption::Never => None,
        };
        let address = (server.host.trim_matches(['[', ']']), server.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIME_MAX), &self.hello, wrapped, None);
        let mut connection = timeout(CONNECT_TIME_MAX, connecting)
            .await
            .map_err(|_| MailError::Unreachable)?
            .map_err(|error| early(&error))?;
        let upgrade = match server.encryption {
            Encryption::Required => true,
            Encryption::Offered => connection.can_starttls(),
            Encryption::Wrapped | Encryption::Never => false,
        };
        if upgrade {
            within(deadline, connection.starttls(server.tls()?, &self.hello)).await?;
        }
        if let Some((user, password)) = &server.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            within(deadline, connection.auth(DEFAULT_MECHANISMS, &credentials)).await?;
        }
        Ok(connection)
    }
}

/// Names sender and recipient, and asks to send. Nothing has happened when this fails.
async fn introduce(
    connection: &mut AsyncSmtpConnection,
    deadline: Instant,
    envelope: &Envelope,
) -> Result<(), MailError> {
    let mut parameters = Vec::new();
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !envelope.from().into_iter().chain(envelope.to()).all(is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            // RFC 6531, 3.2; the code is that of RFC 6531, 4.2.
            return Err(MailError::RecipientRejected(553));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    within(deadline, connection.command(Mail::new(envelope.from().cloned(), parameters))).await?;
    for recipient in envelope.to() {
        let told = timeout_at(deadline, connection.command(Rcpt::new(recipient.clone(), Vec::new()))).await;
        told.map_err(|_| MailError::Unreachable)?.map_err(|error| match reply(&error) {
            Some(Reply::Never(code)) => MailError::RecipientRejected(code),
            Some(Reply::Later(code)) => MailError::Busy(code),
            None => MailError::Unreachable,
        })?;
    }
    within(deadline, connection.command(Data)).await
}

/// One exchange before the message is sent.
async fn within<T>(deadline: Instant, exchange: impl Future<Output = Result<T, Error>>) -> Result<(), MailError> {
    match timeout_at(deadline, exchange).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(early(&error)),
        Err(_) => Err(MailError::Unreachable),
    }
}

/// What an error means as long as the message has not been sent.
fn early(error: &Error) -> MailError {
    match reply(error) {
        Some(Reply::Later(code)) => MailError::Busy(code),
        Some(Reply::Never(code)) => MailError::Refuses(code),
        None => MailError::Unreachable,
    }
}

/// A negative reply of the server (RFC 5321, 4.2.1).
enum Reply {
    /// 4xx.
    Later(u16),
    /// 5xx.
    Never(u16),
}

fn reply(error: &Error) -> Option<Reply> {
    let code = u16::from(error.status()?);
    if error.is_permanent() { Some(Reply::Never(code)) } else { Some(Reply::Later(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_ports_and_encryption() {
        for (url, host, port, encryption, login) in [
            ("smtp://mail.example.org", "mail.example.org", 25, Encryption::Offered, None),
            ("smtp://127.0.0.1:2525?tls=never", "127.0.0.1", 2525, Encryption::Never, None),
            ("smtp://[::1]:2525", "[::1]", 2525, Encryption::Offered, None),
            ("smtp://mail:587?tls=required", "mail", 587, Encryption::Required, None),
            ("smtps://mail.example.org", "mail.example.org", 465, Encryption::Wrapped, None),
            ("smtps://me%40x:p%3Aw@mail", "mail", 465, Encryption::Wrapped, Some(("me@x", "p:w"))),
        ] {
            let server = SmtpServer::parse(url).expect(url);
            assert_eq!((server.host.as_str(), server.port, server.encryption), (host, port, encryption), "{url}");
            let login = login.map(|(user, password): (&str, &str)| (user.to_owned(), password.to_owned()));
            assert_eq!(server.login, login, "{url}");
            assert!(!format!("{server:?}").contains("p:w"));
        }
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        for url in
            ["", "mail:25", "http://u:secret@mail", "smtp://u:secret@mail?tls=maybe", "smtps://u:secret@m?tls=never"]
        {
            let error = SmtpServer::parse(url).expect_err(url);
            assert!(matches!(error, SettingsError::Server(_)) && !error.to_string().contains("secret"), "{error}");
        }
    }
}
