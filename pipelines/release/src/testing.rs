//! A folder for tests, and subcommands run in it.

use std::path::PathBuf;

use clap::Parser as _;

use crate::Cli;
use crate::context::Context;

pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["results", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders that it is in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a subcommand. In its flags `=@` begins a path of this world.
    pub(crate) async fn run(&self, flags: &[&str]) -> anyhow::Result<()> {
        let folder = format!("={}/", self.folder.path().display());
        let program = std::iter::once("release-tasks".to_owned());
        let cli =
            Cli::try_parse_from(program.chain(flags.iter().map(|flag| flag.replace("=@", &folder)))).unwrap();
        cli.step.run(&Context::new(cli.global).unwrap()).await
    }
}
