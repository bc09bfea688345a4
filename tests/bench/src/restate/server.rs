//! A restate-server: the pinned version from the `PATH` or the cache, else fetched into the cache with the package client `npm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha512};
use tokio::process::Command;
use tokio::time::timeout;

/// The version measured. Another one would be another contender.
pub const VERSION: &str = "1.7.12";

/// The package that holds the binary, by platform, and its SHA-512: what the registry calls its integrity.
const PACKAGES: &[Package] = &[
    Package {
        arch: "x86_64",
        name: "@restatedev/restate-server-linux-x64",
        sha512: "511a2d275008a9a4820e444c9783ab41f4cb1fe358b8e65bdd9b0fef0c718ae0\
                 01ea99dc80f8535184af7a04c5e4f4eb0128673721cda63bbd9237f63b7431a0",
    },
    Package {
        arch: "aarch64",
        name: "@restatedev/restate-server-linux-arm64",
        sha512: "695ed8c56bcf869f3c32342d39b183843093c0205aebcc3064e00c989a83ade3\
                 b46ae1d8b927cea9a6c4c7823dd1ca19b31df34a136eb29a5b4cf2a9ace6be77",
    },
];

/// How long the download may take: 80 MB on a slow line.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

/// How long `--version` may take.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

struct Package {
    arch: &'static str,
    name: &'static str,
    sha512: &'static str,
}

/// The one that is here already, if any: nothing is fetched.
pub async fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in std::env::split_paths(&path).map(|folder| folder.join("restate-server")) {
        if candidate.is_file() && version_of(&candidate).await.as_deref() == Some(VERSION) {
            return Some(candidate);
        }
    }
    Some(cached()).filter(|binary| binary.is_file())
}

/// Finds it or fetches it. Safe to call from several processes at once: the binary is put into the cache by a rename.
pub async fn find_or_fetch() -> anyhow::Result<PathBuf> {
    if let Some(found) = find().await {
        return Ok(found);
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let package = PACKAGES.iter().find(|package| os == "linux" && package.arch == arch);
    let package = package.with_context(|| {
        format!("no restate-server {VERSION} is on the PATH and none can be fetched for {os} on {arch}: install it, or leave it out")
    })?;
    let binary = cached();
    let folder = binary.parent().context("it lies in a folder")?;
    eprintln!("fetching restate-server {VERSION} (once, 80 MB, into {})", folder.display());
    let scratch = folder.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let fetched = fetch(package, &scratch, &binary).await;
    let _ = fs::remove_dir_all(&scratch);
    fetched.with_context(|| {
        format!("restate-server {VERSION} cannot be had: check the network and `npm`, or put it on the PATH, or leave it out")
    })?;
    Ok(binary)
}

fn cached() -> PathBuf {
    let base = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    base.join("amends").join("restate-server").join(VERSION).join("restate-server")
}

/// Of `restate-server 1.7.12`.
async fn version_of(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(VERSION_TIMEOUT, output).await.ok()?.ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1).map(str::to_owned)
}

async fn fetch(package: &Package, scratch: &Path, binary: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", &format!("{}@{VERSION}", package.name), "--pack-destination"]).arg(scratch);
    timeout(FETCH_TIMEOUT, succeed(npm, "npm")).await.context("no answer in time")??;
    let archive = fs::read_dir(scratch)?.next().context("npm left no package")??.path();
    let found = hex::encode(Sha512::digest(fs::read(&archive)?));
    ensure!(found == package.sha512, "the package has SHA-512 {found}, expected {}: it is not used", package.sha512);
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(scratch).arg("package/bin/restate-server");
    succeed(tar, "tar").await?;
    Ok(fs::rename(scratch.join("package/bin/restate-server"), binary)?)
}

async fn succeed(mut command: Command, name: &str) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.with_context(|| name.to_owned())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}", text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("failed"));
    }
    Ok(())
}
