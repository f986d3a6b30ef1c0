//! The program `git`, with nothing of this machine's in reach.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

use crate::error::Error;
use crate::names::is_commit;

/// Where the program is.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The only one that it may use: to our gateway.
const PROTOCOL: &str = "http";
/// Bytes of its complaints that are read.
const COMPLAINT: u64 = 4096;
/// Characters of them that are shown.
const SHOWN: usize = 300;
/// Bytes of the name of a commit, and a line's end.
const NAME: u64 = 100;
/// Bytes of a list of files.
const LISTING: u64 = 16 * 1024 * 1024;

/// How much of a repository is fetched. Contents of files are not, if the server can leave them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// One commit.
    Commit,
    /// That and all before it.
    History,
}

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name of the object that is its content.
    pub(crate) id: String,
    pub(crate) path: String,
}

/// A bare repository that knows of its origin only.
pub(crate) struct Repository {
    folder: TempDir,
}

impl Repository {
    /// As `git init --bare` would, but with our words only: no file of this machine has a say.
    pub(crate) fn make(url: &str) -> std::io::Result<Self> {
        let folder = TempDir::with_prefix("konflux-git-")?;
        let root = folder.path();
        for name in ["objects", "refs"] {
            std::fs::create_dir(root.join(name))?;
        }
        std::fs::write(root.join("HEAD"), "ref: refs/heads/none\n")?;
        std::fs::write(root.join("config"), config(url))?;
        Ok(Self { folder })
    }

    /// Fetches a revision, and says which commit it is at.
    pub(crate) async fn fetch(&self, revision: &str, depth: Depth) -> Result<String, Error> {
        let depth: &[&str] = match depth {
            Depth::Commit => &["--depth=1"],
            Depth::History => &[],
        };
        let rest = ["--filter=blob:none", "--no-tags", "--", "origin", revision];
        let fetch = [&["fetch", "--quiet"], depth, &rest].concat();
        self.run(&fetch, b"", 0).await.map_err(|error| match error {
            Error::Refused(why)
                if why.contains("couldn't find remote ref") || why.contains("not our ref") =>
            {
                let is_short = revision.len() < 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
                let hint = if is_short { "; a commit is named by all of its 40 digits" } else { "" };
                Error::Refused(format!("there is no revision {revision:?}{hint}"))
            }
            other => other,
        })?;
        let commit = ["rev-parse", "--verify", "--end-of-options", "FETCH_HEAD^{commit}"];
        self.name(&commit).await
    }

    /// The content of a file, of at most `limit` bytes. Absent if there is no such file.
    pub(crate) async fn file(&self, commit: &str, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.run(&["cat-file", "blob", "--", &format!("{commit}:{path}")], b"", limit).await {
            Ok(content) => Ok(Some(content)),
            Err(Error::Refused(why)) if is_missing(&why) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The files of a folder and those below it, links and submodules left out. Absent if there is no such folder.
    pub(crate) async fn list(&self, commit: &str, folder: &str) -> Result<Option<Vec<Entry>>, Error> {
        let tree = format!("{commit}:{folder}");
        match self.run(&["ls-tree", "-r", "-z", "--full-tree", &tree], b"", LISTING).await {
            Ok(listing) => Ok(Some(entries(&listing))),
            Err(Error::Refused(why)) if is_missing(&why) || why.contains("not a tree object") => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Contents of files, in their order, of at most `limit` bytes together. Those that are not here yet are fetched at once:
    /// Git by itself would ask for one after the other.
    pub(crate) async fn contents(
        &self,
        commit: &str,
        entries: &[Entry],
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let missing = self.missing(commit).await?;
        let wanted: HashSet<&str> =
            entries.iter().map(|entry| entry.id.as_str()).filter(|id| missing.contains(*id)).collect();
        if !wanted.is_empty() {
            let fetch = [
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--filter=blob:none",
                "--stdin",
                "--",
                "origin",
            ];
            self.run(&fetch, lines(wanted.into_iter()).as_bytes(), 0).await?;
        }
        let asked = lines(entries.iter().map(|entry| entry.id.as_str()));
        // A head of some 60 bytes stands before each.
        let limit_of_all = limit.saturating_add(NAME.saturating_mul(entries.len() as u64));
        let answer = self.run(&["cat-file", "--batch"], asked.as_bytes(), limit_of_all).await?;
        contents(&answer)
            .filter(|contents| contents.len() == entries.len())
            .ok_or_else(|| Error::Broken("git: some files of the repository did not come with it".to_owned()))
    }

    /// The newest commit that changed a path, merges left out. Absent if there is none.
    pub(crate) async fn last_change(&self, commit: &str, path: &str) -> Result<Option<String>, Error> {
        let log =
            ["log", "--max-count=1", "--no-merges", "--format=%H", "--end-of-options", commit, "--", path];
        let found = self.name(&log).await?;
        Ok(Some(found).filter(|found| is_commit(found)))
    }

    /// Names of the objects of a commit that are not here.
    async fn missing(&self, commit: &str) -> Result<HashSet<String>, Error> {
        let tree = format!("{commit}^{{tree}}");
        let all = ["rev-list", "--objects", "--missing=print", "--no-object-names", &tree];
        let listed = self.run(&all, b"", LISTING).await?;
        let listed = String::from_utf8_lossy(&listed);
        Ok(listed.lines().filter_map(|line| line.strip_prefix('?')).map(str::to_owned).collect())
    }

    async fn name(&self, arguments: &[&str]) -> Result<String, Error> {
        let said = self.run(arguments, b"", NAME).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Runs one command, and returns what it says: at most `limit` bytes.
    async fn run(&self, arguments: &[&str], input: &[u8], limit: u64) -> Result<Vec<u8>, Error> {
        let broken = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NotInstalled,
            _ => Error::Broken(format!("git cannot be run: {error}")),
        };
        let folder = self.folder.path();
        let mut child = command(folder).args(arguments).spawn().map_err(broken)?;
        let _group = Group(child.id());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ((), said, complaint) =
            tokio::join!(tell(stdin, input), start_of(stdout, limit + 1), start_of(stderr, COMPLAINT));
        let (said, complaint) = (said.map_err(broken)?, complaint.map_err(broken)?);
        if said.len() as u64 > limit && limit > 0 {
            return Err(Error::Refused(format!("the file is larger than {limit} bytes")));
        }
        if child.wait().await.map_err(broken)?.success() {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&complaint).split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = complaint.chars().take(SHOWN).collect::<String>();
        Err(Error::Refused(format!("git: {}", fleet::redact(&shown))))
    }
}

/// Whether Git complains that a path is not in a commit.
fn is_missing(complaint: &str) -> bool {
    ["does not exist", "bad file", "Not a valid object name"].iter().any(|words| complaint.contains(words))
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.flat_map(|name| [name, "\n"]).collect()
}

/// Of `<mode> <kind> <id>\t<path>\0…`. A path that is no text cannot be asked for by anybody.
fn entries(listing: &[u8]) -> Vec<Entry> {
    let records = listing.split(|byte| *byte == 0).filter_map(|record| std::str::from_utf8(record).ok());
    let entry = |record: &str| {
        let (head, path) = record.split_once('\t')?;
        let mut head = head.split(' ');
        // Regular files, executable or not: 100644, 100755.
        let is_file = head.next()?.starts_with("100") && head.next()? == "blob";
        let id = head.next()?.to_owned();
        is_file.then(|| Entry { id, path: path.to_owned() })
    };
    records.filter_map(entry).collect()
}

/// Of `<id> blob <size>\n<content>\n…`.
fn contents(mut answer: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    while !answer.is_empty() {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let size: usize = head.rsplit_once("blob ")?.1.parse().ok()?;
        let rest = &answer[end + 1..];
        let content = rest.get(..size)?;
        all.push(content.to_vec());
        answer = rest.get(size + 1..)?;
    }
    Some(all)
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
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .stdin(Stdio::piped())
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

/// A command that ends before it has read all says why by itself.
async fn tell(to: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut to) = to {
        to.write_all(input).await.ok();
    }
}

async fn start_of(from: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut content).await?;
    }
    Ok(content)
}
