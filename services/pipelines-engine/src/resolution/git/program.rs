//! The program `git`, with nothing of this machine's in reach.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// Where the program is.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The only one that it may use: to our gateway.
const PROTOCOL: &str = "http";
/// Bytes of its complaints that are read.
const COMPLAINT: u64 = 4096;
/// Characters of them that are shown.
const SHOWN: usize = 300;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    /// Bytes of the file.
    pub(super) file: u64,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Fault {
    /// What was asked for is not there.
    Wrong(String),
    /// It did not work, this time.
    Broken(String),
}

/// The commit that `revision` of the repository at `url` is at, and the file at `path` in it.
pub(super) async fn read(
    url: &str,
    revision: &str,
    path: &str,
    limits: Limits,
) -> Result<(String, Vec<u8>), Fault> {
    let late = |_| Fault::Broken(format!("not fetched within {:?}", limits.timeout));
    let all = async {
        let repository = Repository::make(url).map_err(|error| Fault::Broken(error.to_string()))?;
        let read = repository.read(revision, path, limits.file).await;
        // Removing thousands of files takes a while.
        tokio::task::spawn_blocking(move || drop(repository));
        read
    };
    timeout(limits.timeout, all).await.map_err(late)?
}

/// A bare repository that knows of its origin only.
struct Repository {
    folder: TempDir,
}

impl Repository {
    /// As `git init --bare` would, but with our words only: no file of this machine has a say.
    fn make(url: &str) -> std::io::Result<Self> {
        let folder = TempDir::with_prefix("konflux-git-")?;
        let root = folder.path();
        for name in ["objects", "refs"] {
            std::fs::create_dir(root.join(name))?;
        }
        std::fs::write(root.join("HEAD"), "ref: refs/heads/none\n")?;
        std::fs::write(root.join("config"), config(url))?;
        Ok(Self { folder })
    }

    async fn read(&self, revision: &str, path: &str, limit: u64) -> Result<(String, Vec<u8>), Fault> {
        let fetch =
            ["fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "--", "origin", revision];
        self.run(&fetch, 0).await.map_err(|fault| match fault {
            Fault::Wrong(why) if why.contains("couldn't find remote ref") || why.contains("not our ref") => {
                let hint = if revision.len() < 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    "; a commit is named by all of its 40 digits"
                } else {
                    ""
                };
                Fault::Wrong(format!("there is no revision {revision:?}{hint}"))
            }
            other => other,
        })?;
        let commit =
            self.run(&["rev-parse", "--verify", "--end-of-options", "FETCH_HEAD^{commit}"], 100).await?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        let file = self.run(&["cat-file", "blob", "--", &format!("{commit}:{path}")], limit).await;
        match file {
            Ok(content) => Ok((commit, content)),
            Err(Fault::Wrong(why)) if why.contains("does not exist") || why.contains("bad file") => {
                Err(Fault::Wrong(format!("there is no file {path:?} at revision {revision:?} ({commit})")))
            }
            Err(other) => Err(other),
        }
    }

    /// Runs one command, and returns what it says: at most `limit` bytes.
    async fn run(&self, arguments: &[&str], limit: u64) -> Result<Vec<u8>, Fault> {
        let broken = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::Wrong(
                "the program git is not installed beside the resolver; params \"repo\" and \"org\" need none"
                    .to_owned(),
            ),
            _ => Fault::Broken(format!("git cannot be run: {error}")),
        };
        let folder = self.folder.path();
        let mut child = command(folder).args(arguments).spawn().map_err(broken)?;
        let _group = Group(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (said, complaint) = tokio::join!(start_of(stdout, limit + 1), start_of(stderr, COMPLAINT));
        let (said, complaint) = (said.map_err(broken)?, complaint.map_err(broken)?);
        if said.len() as u64 > limit && limit > 0 {
            return Err(Fault::Wrong(format!("the file is larger than {limit} bytes")));
        }
        if child.wait().await.map_err(broken)?.success() {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&complaint).split_whitespace().collect::<Vec<_>>().join(" ");
        Err(Fault::Wrong(format!(
            "git: {}",
            fleet::redact(&complaint.chars().take(SHOWN).collect::<String>())
        )))
    }
}

/// Nothing of the parent's environment, no prompts, no hooks, no other protocol, and bounded memory.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", folder)
        .env("GIT_DIR", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", PROTOCOL)
        .env("GIT_ALLOC_LIMIT", "256m")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn config(url: &str) -> String {
    let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\thooksPath = /dev/null\n\tbigFileThreshold = 8m\n\
         [extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\turl = \"{quoted}\"\n\tpromisor = true\n\tpartialclonefilter = blob:none\n\
         [protocol]\n\tversion = 2\n\
         [http]\n\tfollowRedirects = false\n\
         [fetch]\n\tunpackLimit = 1\n\trecurseSubmodules = false\n\
         [pack]\n\tthreads = 1\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
    )
}

/// All that a command has started; ended when it is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        // The group may have ended by itself.
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            killpg(Pid::from_raw(leader), Signal::SIGKILL).ok();
        }
    }
}

async fn start_of(from: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut content).await?;
    }
    Ok(content)
}
