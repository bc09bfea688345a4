//! Where a database lives, and how SurrealDB is told.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DatabaseError;

/// Where a database lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine, opened by this process alone, with `sync=every`. One folder holds one database.
    Embedded(PathBuf),
    /// A SurrealDB server, `ws://` or `wss://`.
    Remote {
        /// Its address.
        url: String,
        /// Who signs in, if anybody: a root user, or a user of the namespace.
        username: Option<String>,
        /// With which password.
        password: Option<String>,
    },
}

impl fmt::Debug for Location {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Embedded(folder) => f.debug_tuple("Embedded").field(folder).finish(),
            Location::Remote { url, username, password: _ } => {
                f.debug_struct("Remote").field("url", url).field("username", username).finish_non_exhaustive()
            }
        }
    }
}

/// The URL of an embedded folder. SurrealKV then answers a commit only after the write-ahead log is fsynced, one fsync for
/// all that commit at once.
pub(crate) fn embedded_url(folder: &Path) -> Result<String, DatabaseError> {
    let folder = std::path::absolute(folder)
        .map_err(|error| DatabaseError::bug(format!("{} is no folder: {error}", folder.display())))?;
    let text = folder.to_str().ok_or_else(|| DatabaseError::bug(format!("{} is not valid UTF-8", folder.display())))?;
    // SurrealDB reads `?` as the start of options and expands `~`.
    if text.contains(['?', '~']) {
        return Err(DatabaseError::bug(format!("{text} contains `?` or `~`, which SurrealDB cannot take")));
    }
    Ok(format!("surrealkv://{text}?sync=every"))
}

/// Refuses what is no server's URL.
pub(crate) fn check_remote_url(url: &str) -> Result<(), DatabaseError> {
    if url.starts_with("ws://") || url.starts_with("wss://") {
        Ok(())
    } else {
        Err(DatabaseError::bug(format!("{url} is no SurrealDB server: write ws://host:port or wss://host:port")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_folder_is_synced_on_every_commit() {
        assert_eq!(embedded_url(Path::new("/data/db/journal")).unwrap(), "surrealkv:///data/db/journal?sync=every");
    }

    #[test]
    fn a_folder_that_would_be_read_as_options_is_refused() {
        assert!(embedded_url(Path::new("/data/what?sync=never")).is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        let location = Location::Remote {
            url: "ws://db:8000".into(),
            username: Some("root".into()),
            password: Some("hunter2".into()),
        };
        assert!(!format!("{location:?}").contains("hunter2"));
    }
}
