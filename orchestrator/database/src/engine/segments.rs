//! The files of SurrealKV's log, by their numbers: `wal/00000000000000000042.wal` (surrealkv 0.21, `wal::segment_name`).

use std::io;
use std::path::{Path, PathBuf};

/// The log of one folder.
#[derive(Debug)]
pub(super) struct Segments(PathBuf);

impl Segments {
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.join("wal"))
    }

    pub(super) fn exists(&self, number: u64) -> bool {
        self.0.join(format!("{number:020}.wal")).exists()
    }

    /// The number of the one that is written; none before the engine is open.
    pub(super) fn newest(&self) -> io::Result<Option<u64>> {
        Ok(self.all()?.into_iter().map(|(number, _)| number).max())
    }

    /// Of those that a crash has left; 0 when there is none.
    pub(super) fn largest_bytes(&self) -> io::Result<u64> {
        Ok(self.all()?.into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0))
    }

    /// Numbers and sizes.
    fn all(&self) -> io::Result<Vec<(u64, u64)>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "wal")) {
                all.push((number, entry.metadata()?.len()));
            }
        }
        Ok(all)
    }
}
