//! A repository at the dev cluster's forge, for cases of the resolver `git`.
use std::path::Path;

use anyhow::Context as _;
use testkit::gitea::{Access, Client, Push};

use super::case::REMOTE;
use crate::{paths, ui};

/// Of the forge's administrator, for everybody to read.
const REPOSITORY: &str = "conformance";

/// Pushes the files that the resolvers fetch, at their paths; where Git clones them from.
pub async fn push(access: &Access) -> anyhow::Result<String> {
    let step = ui::step("a Git repository at the forge");
    let client = Client::new(access)?;
    let repository = format!("{}/{REPOSITORY}", access.administrator);
    client.ensure_repository(&repository, false).await?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    copy(&paths::repository()?.join(REMOTE), &folder.path().join(REMOTE))?;
    let push = Push {
        repository: &repository,
        branch: "main",
        folder: folder.path(),
        message: "What resolvers fetch",
    };
    client.push(&push).await?;
    step.done();
    Ok(client.clone_url(&repository))
}

/// Copies the files that lie directly in a folder.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("make folder {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("an entry of a folder has a name")?;
        std::fs::copy(&path, to.join(name)).with_context(|| format!("copy {}", path.display()))?;
    }
    Ok(())
}
