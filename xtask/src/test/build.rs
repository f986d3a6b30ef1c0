//! Builds the test programs, all in one go: built crate by crate, features would differ and dependencies compile
//! again. Then a part of them can be run without any further build.
use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    paths,
    program::{Pipe, Program},
    ui,
};

/// A test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) package: String,
    /// `unit` for tests beside the code, else the name of the file or folder in tests/.
    pub(super) target: String,
    pub(super) level: Level,
    pub(super) executable: PathBuf,
    /// Folder of the package: where cargo, too, starts its tests.
    pub(super) folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// In src/: needs nothing but the code.
    Unit,
    /// In tests/: against a real control plane.
    ControlPlane,
    /// `e2e` in tests/: against a cluster with the fleet on it.
    EndToEnd,
}

impl Binary {
    /// Runs it as cargo would.
    pub(super) fn program(&self, filter: &[String]) -> Program {
        let backtrace = std::env::var_os("RUST_LIB_BACKTRACE").unwrap_or_else(|| "0".into());
        Program::new(&self.executable)
            .args(filter)
            .directory(&self.folder)
            // What cargo itself sets for tests, and insta asks for.
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            // A snapshot that differs fails; it leaves no file for review in the checkout.
            .env("INSTA_UPDATE", "no")
            // The message of an error says where it comes from; forty frames of the test runner hide it.
            .env("RUST_LIB_BACKTRACE", backtrace)
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests of {}", self.target, self.package)
    }
}

/// One line of cargo's `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    package_id: String,
}

#[derive(Default, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Profile {
    test: bool,
}

/// Builds all test programs of the workspace.
pub(super) async fn binaries() -> anyhow::Result<Vec<Binary>> {
    let step = ui::step("tests are built");
    let finished = Program::cargo(&paths::repository()?)
        // By pattern, so that also those are built that plain `cargo test` leaves out (`test = false`).
        .args(["test", "--workspace", "--lib", "--bins", "--test", "*", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .watch(|pipe, line| {
            if pipe == Pipe::Stderr && !line.trim().is_empty() {
                step.waiting(line.trim());
            }
        })
        .await?;
    if !finished.status.success() {
        for line in finished.stderr.lines() {
            ui::note(line);
        }
        anyhow::bail!("the tests do not build; the compiler's messages are above");
    }
    let binaries =
        finished.stdout.lines().filter_map(|line| binary(line).transpose()).collect::<Result<Vec<_>, _>>()?;
    step.done_with(&format!("{} test programs", binaries.len()));
    Ok(binaries)
}

/// The test program that a message speaks of; nothing for other messages.
fn binary(line: &str) -> anyhow::Result<Option<Binary>> {
    // Build scripts may print lines that are no messages.
    if !line.starts_with('{') {
        return Ok(None);
    }
    let message: Message = serde_json::from_str(line).context("read a message of cargo")?;
    let (Some(executable), true) = (message.executable, message.profile.test) else { return Ok(None) };
    if message.reason != "compiler-artifact" {
        return Ok(None);
    }
    let is_in_tests = message.target.kind.iter().any(|kind| kind == "test");
    let level = match message.target.name.as_str() {
        _ if !is_in_tests => Level::Unit,
        "e2e" => Level::EndToEnd,
        _ => Level::ControlPlane,
    };
    let folder = message.manifest_path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some(Binary {
        package: package_name(&message.package_id).to_owned(),
        target: if is_in_tests { message.target.name } else { "unit".into() },
        level,
        executable,
        folder,
    }))
}

/// Name in a package id: `path+file:///…/services/ant#0.1.0` when the folder has the same name, else `…#ant@0.1.0`.
fn package_name(id: &str) -> &str {
    let (path, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_test_program_of_cargo() -> anyhow::Result<()> {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/services/ant/api#ant-api@0.1.0",
            "manifest_path":"/r/services/ant/api/Cargo.toml","target":{"kind":["test"],"name":"control_plane"},
            "profile":{"opt_level":"0","test":true},"features":[],"executable":"/t/deps/control_plane-1","fresh":true}"#;
        let expected = Binary {
            package: "ant-api".into(),
            target: "control_plane".into(),
            level: Level::ControlPlane,
            executable: "/t/deps/control_plane-1".into(),
            folder: "/r/services/ant/api".into(),
        };
        assert_eq!(binary(line)?, Some(expected));
        assert_eq!(binary(&line.replace("\"test\":true", "\"test\":false"))?, None);
        assert_eq!(binary(r#"{"reason":"build-finished","success":true}"#)?, None);
        assert_eq!(binary("a build script says hello")?, None);
        Ok(())
    }

    #[test]
    fn package_name_in_both_forms() {
        assert_eq!(package_name("path+file:///r/services/ant#0.1.0"), "ant");
        assert_eq!(package_name("path+file:///r/services/ant/api#ant-api@0.1.0"), "ant-api");
    }
}
