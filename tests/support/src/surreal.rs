//! A SurrealDB server for one test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::process::free_port;
use crate::wait;

/// The version that is built, and the oldest on a `PATH` that is taken: that of the client.
const VERSION: &str = "3.3.5";

/// How long a start may take: replaying its log included, in a debug build on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Who signs in.
pub const USERNAME: &str = "root";

/// With which password.
pub const PASSWORD: &str = "a-password-for-tests";

/// A SurrealDB server that keeps its data in a temporary folder; gone when dropped.
#[derive(Debug)]
pub struct TestSurreal {
    binary: PathBuf,
    child: Option<Child>,
    port: u16,
    // Last, so that the folder goes after the server.
    folder: TempDir,
}

/// Starts one on a free port.
///
/// # Panics
/// When there is none to start: a test cannot go on without it.
pub async fn surreal_server() -> TestSurreal {
    let binary = binary().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = TestSurreal { binary, child: None, port: free_port(), folder };
    server.start().await;
    server
}

impl TestSurreal {
    /// `ws://127.0.0.1:port`; stays the same over restarts.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it can be waited for");
        }
    }

    /// Starts it, again on the same port with the same data.
    ///
    /// # Panics
    /// When it does not start: with the end of its log.
    pub async fn start(&mut self) {
        self.kill().await;
        let log = self.folder.path().join("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("the log can be written");
        let child = Command::new(&self.binary)
            .args(["start", "--no-banner", "--log", "warn", "--bind", &format!("127.0.0.1:{}", self.port)])
            .args(["--username", USERNAME, "--password", PASSWORD])
            .arg(format!("surrealkv://{}?sync=every", self.folder.path().join("data").display()))
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log can be shared"))
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let child = self.child.insert(child);
        wait::until("the SurrealDB server to answer", START_TIMEOUT, async || {
            let ended = !matches!(child.try_wait(), Ok(None));
            assert!(!ended, "the server ended:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    /// Its process id, to send it signals.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }
}

/// The program: from the `PATH`, from the cache, or built into the cache.
async fn binary() -> PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(find_or_build).await.clone()
}

async fn find_or_build() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in std::env::split_paths(&path).map(|folder| folder.join("surreal")) {
        if candidate.is_file() && version_of(&candidate).await.is_some_and(|version| fits(&version)) {
            return candidate;
        }
    }
    let folder = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    let folder = folder.join("amends").join("surrealdb-server").join(VERSION);
    let binary = folder.join("bin").join("surreal");
    if !binary.is_file() {
        build(&folder).await;
    }
    binary
}

/// The version that `surreal version` prints, such as `3.3.5 for linux on x86_64`.
async fn version_of(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("version").stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().map(str::to_owned)
}

/// The same major version, and at least as new a minor one.
fn fits(version: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    matches!((numbers(version), numbers(VERSION)), (Some(found), Some(ours)) if found.0 == ours.0 && found.1 >= ours.1)
}

/// Builds `tests/surrealdb-server` with its lock file. Cargo lets only one process at a time install into a folder.
async fn build(folder: &Path) {
    eprintln!("building the SurrealDB server {VERSION} for tests (once, some minutes, into {})", folder.display());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../surrealdb-server");
    let built = folder.join("target");
    let status = Command::new(env!("CARGO"))
        .args(["install", "--locked", "--debug", "--path"])
        .arg(source)
        .arg("--root")
        .arg(folder)
        .arg("--target-dir")
        .arg(&built)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .expect("cargo starts");
    assert!(
        status.success(),
        "the SurrealDB server cannot be built: install surreal {VERSION}, or see the error above"
    );
    // Hundreds of megabytes that nobody needs again.
    let _ = std::fs::remove_dir_all(built);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_as_new_as_the_client_will_do() {
        assert!(fits("3.3.5") && fits("3.4.0"));
        assert!(!fits("2.9.0") && !fits("3.2.9") && !fits("4.0.0-beta.1") && !fits("nonsense"));
    }
}
