//! Writes messages into a folder: one `.eml` file for each delivery, however often it is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use amends_schemas::ids::DeliveryId;
use uuid::Uuid;

use super::MailError;

/// A folder of `.eml` files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFolder {
    folder: PathBuf,
}

impl MailFolder {
    /// The folder is made when the first message is written.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a message so that its file is either not there or whole, and on disk when this returns.
    ///
    /// # Errors
    /// [`MailError::Folder`].
    pub async fn write(&self, delivery_id: DeliveryId, bytes: Vec<u8>) -> Result<(), MailError> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || write_whole(&folder, delivery_id, &bytes))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
            .map_err(|error| MailError::Folder(error.kind()))
    }
}

/// Written beside its place, synced, then renamed over it.
fn write_whole(folder: &Path, delivery_id: DeliveryId, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // A name of its own, so that two processes never write into one file.
    let beside = folder.join(format!(".{delivery_id}.{}.tmp", Uuid::new_v4().simple()));
    let written = File::create_new(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, folder.join(format!("{delivery_id}.eml"))));
    if written.is_err() {
        // Nothing more can be done about it; a stray hidden file does no harm.
        let _ = fs::remove_file(&beside);
    }
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delivery_has_one_file_however_often_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mail = MailFolder::new(folder.path().join("mail"));
        let id = DeliveryId(Uuid::from_u128(1));
        let again = (0..8).map(|n| mail.write(id, format!("message {n}").into_bytes()));
        for written in futures::future::join_all(again).await {
            written.unwrap();
        }
        let files: Vec<_> = fs::read_dir(folder.path().join("mail")).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(files, ["00000000-0000-0000-0000-000000000001.eml"]);
        let text = fs::read_to_string(folder.path().join("mail").join(&files[0])).unwrap();
        assert!(text.starts_with("message ") && text.len() == "message 0".len(), "whole: {text}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_worth_another_try() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("mail");
        fs::write(&taken, "a file in its place").unwrap();
        let error =
            MailFolder::new(taken).write(DeliveryId(Uuid::from_u128(1)), Vec::new()).await.expect_err("no folder");
        assert_eq!(error.code(), "mail_folder_unavailable");
    }
}
