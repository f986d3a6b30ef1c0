//! Runs the program in a folder of its own.

use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

/// A folder that the program runs in, with nothing of this machine's in its environment.
pub(crate) struct Workplace {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    /// With these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let workplace = Self { folder: tempfile::tempdir()?, environment: Vec::new() };
        for (path, content) in files {
            workplace.write(path, content)?;
        }
        Ok(workplace)
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> anyhow::Result<()> {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(self.path()))?;
        Ok(std::fs::write(path, content)?)
    }

    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.path().join(path))?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) async fn ec(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let output = Command::new(env!("CARGO_BIN_EXE_ec"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .envs(self.environment.iter().cloned())
            .output()
            .await?;
        Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// The same for what has to work.
    pub(crate) async fn works(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.ec(arguments).await?;
        anyhow::ensure!(ended.code == Some(0), "{arguments:?}: {ended:?}");
        Ok(ended.stdout)
    }
}
