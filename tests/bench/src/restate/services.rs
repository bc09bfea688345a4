//! The services, built from `tests/bench/restate` with that crate's own lock file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The SDK they are written with, as their manifest pins it.
pub const SDK_VERSION: &str = "0.13.0";

/// The program that serves them; Cargo builds it, in release, into the cache unless it is built already.
pub async fn build() -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("restate/Cargo.toml");
    let base = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    let target = base.join("amends").join("bench-restate");
    eprintln!("building the services of Restate, unless they are built (into {})", target.display());
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context(
            "the services of Restate are built with `cargo`, which does not start: install Rust, or leave Restate out",
        )?;
    ensure!(
        status.success(),
        "the services of Restate cannot be built: see the error above, or leave Restate out with `engine` and `floor`"
    );
    Ok(target.join("release").join("amends-bench-restate"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_told_is_the_one_pinned() {
        let manifest = include_str!("../../restate/Cargo.toml");
        assert!(manifest.contains(&format!("restate-sdk = \"={}\"", super::SDK_VERSION)));
    }
}
