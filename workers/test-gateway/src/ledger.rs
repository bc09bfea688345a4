//! The ledger's file: JSON lines, appended and fsynced, read again at start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::book::Book;
use crate::model::Entry;

const FILE_NAME: &str = "ledger.jsonl";

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk.
    #[error("the ledger {file} cannot be read or written")]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the ledger {0} is in use by another process")]
    Locked(PathBuf),
    /// A whole line that is not an entry. A torn last line is none: it was never answered, and is cut off.
    #[error("{file}:{line}: not a ledger entry")]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// Which line, from one.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// The open file, locked for this process.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
}

impl Ledger {
    /// Opens the ledger in `folder`, creating what is missing, and reads it into a book.
    pub fn open(folder: &Path) -> Result<(Self, Book), LedgerError> {
        let path = folder.join(FILE_NAME);
        let fail = |source| LedgerError::Io { file: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(fail)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LedgerError::Locked(path.clone()),
            TryLockError::Error(source) => fail(source),
        })?;
        // The file's name must survive as its lines do.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
        let (book, end) = read(&file, &path)?;
        file.set_len(end).map_err(fail)?;
        file.seek(SeekFrom::Start(end)).map_err(fail)?;
        Ok((Self { file, path }, book))
    }

    /// Appends entries with one fsync. After an error the file may end in anything: no more may be appended.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let fail = |source| LedgerError::Io { file: self.path.clone(), source };
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|error| fail(error.into()))?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).and_then(|()| self.file.sync_data()).map_err(fail)
    }
}

/// The book of all whole lines, and where they end.
fn read(file: &File, path: &Path) -> Result<(Book, u64), LedgerError> {
    let mut reader = BufReader::new(file);
    let (mut book, mut end, mut text) = (Book::default(), 0, String::new());
    for line in 1.. {
        text.clear();
        let count = reader.read_line(&mut text).map_err(|source| LedgerError::Io { file: path.to_owned(), source })?;
        if !text.ends_with('\n') {
            break;
        }
        let entry = serde_json::from_str(&text).map_err(|source| LedgerError::Corrupt {
            file: path.to_owned(),
            line,
            source,
        })?;
        book.apply(entry);
        end += count as u64;
    }
    Ok((book, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    fn voided(key: &str) -> Entry {
        Entry::Voided { key: key.into(), at: Utc::now() }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(folder.path()).unwrap();
        ledger.append(&[voided("a"), voided("b")]).unwrap();
        assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Locked(_))));
        ledger.file.write_all(b"{\"entry\":\"voi").unwrap();
        drop(ledger);

        let (mut ledger, book) = Ledger::open(folder.path()).unwrap();
        assert!(book.intent("a").is_some() && book.intent("b").is_some());
        ledger.append(&[voided("c")]).unwrap();
        drop(ledger);

        let (mut ledger, book) = Ledger::open(folder.path()).unwrap();
        assert!(book.intent("c").is_some());
        ledger.file.write_all(b"nonsense\n").unwrap();
        drop(ledger);
        assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Corrupt { line: 4, .. })));
    }
}
