//! A progress line for whatever takes more than a second.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After this long a sentence is shown; quicker things are not worth reading.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a shown sentence counts on, on a terminal.
const TICK: Duration = Duration::from_millis(500);

/// Shows what is being done on standard error, while it is alive.
#[derive(Debug)]
pub struct Progress {
    sentences: Option<Sender<String>>,
    shower: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins, silently.
    pub fn start() -> Self {
        let (sentences, heard) = channel::<String>();
        let shower = std::thread::spawn(move || {
            let terminal = stderr().is_terminal();
            let mut current: Option<(String, Instant, bool)> = None;
            loop {
                match heard.recv_timeout(TICK) {
                    Ok(sentence) => {
                        finish(current.take(), terminal);
                        current = Some((sentence, Instant::now(), false));
                    }
                    Err(RecvTimeoutError::Timeout) => show(current.as_mut(), terminal),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            finish(current, terminal);
        });
        Self { sentences: Some(sentences), shower: Some(shower) }
    }

    /// What is being done now.
    pub fn say(&self, sentence: &str) {
        tracing::debug!("{sentence}");
        if let Some(sentences) = &self.sentences {
            // Whoever shows them ends only with us.
            let _ = sentences.send(sentence.to_owned());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.sentences = None;
        if let Some(shower) = self.shower.take() {
            let _ = shower.join();
        }
    }
}

fn show(current: Option<&mut (String, Instant, bool)>, terminal: bool) {
    let Some((sentence, since, shown)) = current else { return };
    if since.elapsed() < PATIENCE {
        return;
    }
    if terminal {
        eprint!("\r… {sentence} ({} s)", since.elapsed().as_secs());
        let _ = stderr().flush();
    } else if !*shown {
        eprintln!("… {sentence}");
    }
    *shown = true;
}

fn finish(current: Option<(String, Instant, bool)>, terminal: bool) {
    if let Some((_, _, true)) = current
        && terminal
    {
        eprintln!();
    }
}
