//! Tools that are built from the package registry, once per machine and version:
//! `<cache>/tools/<name>-<version>/bin/<name>`.
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{paths, program::Program};

/// A cargo tool, pinned.
struct Tool {
    name: &'static str,
    version: &'static str,
}

const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
const MACHETE: Tool = Tool { name: "cargo-machete", version: "0.9.2" };

/// Bans, licences and sources, as deny.toml says.
///
/// Not advisories: their database comes from the internet, so that a green run could turn red by itself.
pub(super) async fn deny(root: &Path) -> anyhow::Result<String> {
    let finished = Program::new(DENY.installed().await?)
        .args(["--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .directory(root)
        .run()
        .await?;
    let text = finished.text();
    anyhow::ensure!(finished.status.success(), "{}", text.trim_end());
    let doubles = text.lines().filter(|line| line.starts_with("warning[duplicate]")).count();
    Ok(format!("{doubles} crates in two versions"))
}

/// Dependencies that no source file of their crate names.
pub(super) async fn unused(root: &Path) -> anyhow::Result<String> {
    let finished =
        Program::new(MACHETE.installed().await?).arg("--skip-target-dir").directory(root).run().await?;
    anyhow::ensure!(finished.status.success(), "{}", finished.stdout.trim_end());
    Ok(String::new())
}

impl Tool {
    /// The tool's binary, built first if this machine does not have it.
    async fn installed(&self) -> anyhow::Result<PathBuf> {
        let tools = paths::cache()?.join("tools");
        let home = tools.join(format!("{}-{}", self.name, self.version));
        let binary = home.join("bin").join(self.name);
        if binary.is_file() {
            return Ok(binary);
        }
        std::fs::create_dir_all(&tools).with_context(|| format!("create folder {}", tools.display()))?;
        let build = tempfile::Builder::new()
            .prefix("build-")
            .tempdir_in(&tools)
            .with_context(|| format!("create a build folder in {}", tools.display()))?;
        // Unoptimised and without debug information: it runs for seconds, but is built in one minute, not four.
        // Not in the checkout, whose cargo settings (static linking) are not the tool's.
        Program::cargo(&tools)
            .args(["install", "--quiet", "--locked", "--debug", self.name, "--version", self.version, "--root"])
            .arg(&home)
            .env("CARGO_TARGET_DIR", build.path())
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            .run()
            .await?
            .success()
            .with_context(|| {
                format!(
                    "build {} {}; it comes from the package registry that cargo is set up for: is it reachable?",
                    self.name, self.version
                )
            })?;
        Ok(binary)
    }
}
