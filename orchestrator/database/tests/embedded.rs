//! What the crate promises, against an embedded database.

mod suite;

use amends_database::{Database, Location};
use anyhow::Result;
use suite::{check, kind, open};

/// The suite runs here with a folder of its own for each test.
const REMOTE: bool = false;

/// Names the folder to the child that [`a_folder_of_another_process_is_locked`] starts.
const CHILD_FOLDER: &str = "AMENDS_TEST_CHILD_FOLDER";

#[test]
fn a_folder_of_another_process_is_locked() -> Result<()> {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return check(|_| async move {
            let location = Location::Embedded(folder.into());
            println!("opened: {:?}", kind(Database::open(&location, "amends", "test").await));
            Ok(())
        });
    }
    check(|place| async move {
        let database = open(&place).await?;
        let path = place.folder.path().join("test");
        let child = tokio::task::spawn_blocking(move || {
            std::process::Command::new(std::env::current_exe()?)
                .args(["--exact", "a_folder_of_another_process_is_locked", "--nocapture"])
                .env(CHILD_FOLDER, path)
                .output()
        });
        let output = String::from_utf8(child.await??.stdout)?;
        assert!(output.contains("opened: Some(Locked)"), "{output}");
        database.ping().await?;
        Ok(())
    })
}
