//! The sample of known vulnerabilities in the registry, made by the program that reads it: the toolbox.
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{LATEST, build::Binary, registry::Registry, toolbox};
use crate::{paths, program::Program, ui};

/// Builds the database from what ships and pushes it. Other data: `docs/how-to/load-the-vulnerability-database.md`.
pub async fn push_vulnerabilities(registry: &Registry, program: &Binary) -> anyhow::Result<()> {
    let step = ui::step("sample of known vulnerabilities");
    let target = registry.target(toolbox::VULNERABILITIES, LATEST)?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let login = STANDARD.encode(format!("{}:{}", registry.username, registry.password));
    let logins = json!({"auths": {target.registry(): {"auth": login}}});
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("auth.json"), logins.to_string())?;
    std::fs::write(file("ca.pem"), registry.certificate_authority.as_deref().unwrap_or_default())?;
    Program::new(&program.file)
        .args(["scan", "database", "--from"])
        .arg(paths::repository()?.join(toolbox::VULNERABILITIES_SOURCE))
        .arg(format!("--push={target}"))
        .arg(format!("--result-digest={}", file("digest").display()))
        .env("REGISTRY_AUTH_FILE", file("auth.json"))
        .env("TOOLBOX_CA_BUNDLE", file("ca.pem"))
        .run()
        .await?
        .success()?;
    step.done_with(&format!("{}/{}", super::REPOSITORY, toolbox::VULNERABILITIES));
    Ok(())
}
