//! A nats-server for one test.

use amends_nats_server::{NatsServer, NatsServerSettings, find_or_fetch};
use tempfile::TempDir;

/// A nats-server with JetStream in a temporary folder; gone when dropped.
#[derive(Debug)]
pub struct TestNats {
    server: Option<NatsServer>,
    settings: NatsServerSettings,
    // Last, so that the folder goes after the server.
    _folder: TempDir,
}

/// Starts one on a free port.
///
/// # Panics
/// When there is none to start: a test cannot go on without it.
pub async fn nats_server() -> TestNats {
    let binary =
        find_or_fetch(|sentence| eprintln!("{sentence}")).await.expect("a nats-server can be found or fetched");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = NatsServerSettings { binary, folder: folder.path().to_owned(), port: None };
    let server = NatsServer::start(settings).await.expect("nats-server starts");
    TestNats { settings: server.settings(), server: Some(server), _folder: folder }
}

impl TestNats {
    /// `nats://127.0.0.1:port`; stays the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.settings.port.expect("fixed at the first start"))
    }

    /// Kills it, as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Deletes everything JetStream has stored; the server must be down.
    ///
    /// # Panics
    /// When it runs.
    pub fn delete_store(&self) {
        assert!(self.server.is_none(), "kill the server before deleting its store");
        let store = self.settings.folder.join("store");
        if store.exists() {
            std::fs::remove_dir_all(store).expect("the store can be deleted");
        }
    }

    /// Starts it again on the same port, with what its store still holds.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&mut self) {
        self.kill().await;
        self.server = Some(NatsServer::start(self.settings.clone()).await.expect("nats-server starts again"));
    }
}
