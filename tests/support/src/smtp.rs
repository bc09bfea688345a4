//! A small mail server that speaks real SMTP (RFC 5321), for tests: it keeps what it accepts, and can be told to misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Willing,
    /// Greets with 421 and hangs up.
    ShuttingDown,
    /// Hangs up instead of greeting.
    Silent,
    /// Answers RCPT with 451.
    Greylisting,
    /// Answers RCPT with 550.
    UnknownRecipient,
    /// Answers MAIL with 553.
    UnknownSender,
    /// Answers the message with 554.
    Spam,
    /// Hangs up after the message, before it answers; keeps the message.
    LosesTheAnswer,
    /// Hangs up before the message.
    DropsBeforeData,
}

/// A message it has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// `MAIL FROM`.
    pub from: String,
    /// `RCPT TO`.
    pub to: String,
    /// The message, dots unstuffed.
    pub message: String,
}

#[derive(Debug)]
struct Shared {
    mood: Mood,
    accepted: Vec<Accepted>,
    connected: usize,
    connected_most: usize,
}

impl Shared {
    fn come(&mut self) {
        self.connected += 1;
        self.connected_most = self.connected_most.max(self.connected);
    }
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    serving: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl SmtpServer {
    /// On a free port.
    pub async fn start(mood: Mood) -> Self {
        Self::listen("127.0.0.1:0".parse().expect("an address"), mood).await
    }

    /// On a given port: to come back after having been down.
    pub async fn listen(address: SocketAddr, mood: Mood) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(Shared { mood, accepted: Vec::new(), connected: 0, connected_most: 0 }));
        let for_talks = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&for_talks);
                // A client that hangs up is no concern of the server's.
                tokio::spawn(async move {
                    let counted = Arc::clone(&shared);
                    counted.lock().expect("nobody panics while holding it").come();
                    let _ = Talk::new(stream, shared).run().await;
                    counted.lock().expect("nobody panics while holding it").connected -= 1;
                });
            }
        });
        Self { address, shared, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to send to.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Changes how it behaves from the next command on.
    pub fn be(&self, mood: Mood) {
        self.shared.lock().expect("nobody panics while holding it").mood = mood;
    }

    /// What it has accepted so far.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.lock().expect("nobody panics while holding it").accepted.clone()
    }

    /// The most connections it has had at one time.
    pub fn connections_at_once(&self) -> usize {
        self.shared.lock().expect("nobody panics while holding it").connected_most
    }

    /// Stops; connections are refused when this returns.
    pub async fn stop(mut self) -> SocketAddr {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        self.address
    }
}

/// One connection.
struct Talk {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
    shared: Arc<Mutex<Shared>>,
}

impl Talk {
    fn new(stream: TcpStream, shared: Arc<Mutex<Shared>>) -> Self {
        let (read, out) = stream.into_split();
        Self { lines: BufReader::new(read), out, shared }
    }

    fn mood(&self) -> Mood {
        self.shared.lock().expect("nobody panics while holding it").mood
    }

    async fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.out.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    async fn hear(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).await?;
        Ok((read > 0).then(|| line.trim_end_matches("\r\n").to_owned()))
    }

    async fn run(mut self) -> std::io::Result<()> {
        match self.mood() {
            Mood::Silent => return Ok(()),
            Mood::ShuttingDown => return self.say("421 4.3.2 shutting down").await,
            _ => self.say("220 test.invalid ESMTP").await?,
        }
        let (mut from, mut to) = (String::new(), String::new());
        while let Some(line) = self.hear().await? {
            let upper = line.to_ascii_uppercase();
            if upper.starts_with("EHLO") {
                self.say("250-test.invalid\r\n250 8BITMIME").await?;
            } else if upper.starts_with("MAIL FROM:") {
                if self.mood() == Mood::UnknownSender {
                    self.say("553 5.1.8 sender not allowed").await?;
                } else {
                    from = bracketed(&line);
                    self.say("250 2.1.0 ok").await?;
                }
            } else if upper.starts_with("RCPT TO:") {
                match self.mood() {
                    Mood::Greylisting => self.say("451 4.7.1 come back later").await?,
                    Mood::UnknownRecipient => self.say("550 5.1.1 no such user").await?,
                    _ => {
                        to = bracketed(&line);
                        self.say("250 2.1.5 ok").await?;
                    }
                }
            } else if upper == "DATA" {
                if self.mood() == Mood::DropsBeforeData {
                    return Ok(());
                }
                self.say("354 go ahead").await?;
                let message = self.message().await?;
                match self.mood() {
                    Mood::Spam => self.say("554 5.7.1 looks like spam").await?,
                    mood => {
                        let accepted = Accepted { from: from.clone(), to: to.clone(), message };
                        self.shared.lock().expect("nobody panics while holding it").accepted.push(accepted);
                        if mood == Mood::LosesTheAnswer {
                            return Ok(());
                        }
                        self.say("250 2.0.0 accepted").await?;
                    }
                }
            } else if upper == "QUIT" {
                return self.say("221 2.0.0 bye").await;
            } else {
                self.say("502 5.5.2 not implemented").await?;
            }
        }
        Ok(())
    }

    async fn message(&mut self) -> std::io::Result<String> {
        let mut message = String::new();
        while let Some(line) = self.hear().await? {
            if line == "." {
                return Ok(message);
            }
            message.push_str(line.strip_prefix('.').unwrap_or(&line));
            message.push_str("\r\n");
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// What stands between `<` and `>`.
fn bracketed(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inside, _)| inside.to_owned())
        .unwrap_or_default()
}
