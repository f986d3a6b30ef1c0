//! Reads the files of branches: by the program git, from its object database, so that nothing of a repository is ever written
//! out as a file, followed as a link or run as a hook.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet::Secret;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::plan::TextFile;

/// Bytes of a file that is read. Larger ones are no Dockerfiles.
const MAX_FILE: u64 = 1024 * 1024;
/// Files that are read of a branch.
const MAX_FILES: usize = 2000;
/// Bytes that git may list of a tree.
const MAX_LIST: usize = 64 * 1024 * 1024;

/// The machine's own authorities, where it has any.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How a repository is reached.
pub(crate) struct Remote {
    pub(crate) url: String,
    pub(crate) token: Option<Secret<String>>,
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// Branches of one repository, as far as they were fetched.
pub(crate) struct Checkout {
    folder: tempfile::TempDir,
    remote: Remote,
    /// File with all authorities that are trusted, if they are not only the machine's own.
    authorities: Option<PathBuf>,
}

/// A file of a tree.
struct Entry {
    id: String,
    path: String,
    is_executable: bool,
}

impl Checkout {
    /// Nothing is fetched yet. `work` is where the object database lies.
    pub(crate) async fn new(work: &Path, remote: Remote) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("update-").tempdir_in(work).context("make a folder")?;
        let authorities = remote.ca_bundle.as_deref().map(|bundle| authorities(bundle, folder.path()));
        let authorities = authorities.transpose()?;
        let checkout = Self { folder, remote, authorities };
        checkout.git(["init", "--quiet", "--bare", "."], None).await?;
        Ok(checkout)
    }

    /// Fetches the newest commit of a branch.
    pub(crate) async fn fetch(&self, branch: &str) -> anyhow::Result<()> {
        let refspec = format!("+refs/heads/{branch}:refs/heads/{branch}");
        let url = self.remote.url.as_str();
        let arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", url, &refspec];
        self.git(arguments, None).await.with_context(|| format!("fetch branch {branch}"))?;
        Ok(())
    }

    /// Texts of a branch that was fetched, in the order of their paths. What is no text, too large, or no file is left out.
    pub(crate) async fn read(
        &self,
        branch: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Vec<TextFile>> {
        let tree = format!("refs/heads/{branch}");
        let list = self.git(["ls-tree", "-r", "-z", "--long", "--full-tree", &tree], None).await?;
        ensure!(list.len() <= MAX_LIST, "branch {branch} has too many files");
        let entries: Vec<Entry> = list.split(|byte| *byte == 0).filter_map(entry).collect();
        let entries: Vec<Entry> = entries.into_iter().filter(|entry| wanted(&entry.path)).collect();
        ensure!(
            entries.len() <= MAX_FILES,
            "{} files of branch {branch} would have to be read, {MAX_FILES} may be; ignorePaths leaves some out",
            entries.len()
        );
        let mut ids = entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>().join("\n");
        ids.push('\n');
        let contents = self.git(["cat-file", "--batch"], Some(ids.as_bytes())).await?;
        let mut rest = contents.as_slice();
        let mut files = Vec::new();
        for entry in entries {
            let (content, after) = next_object(rest).with_context(|| format!("read {}", entry.path))?;
            rest = after;
            if let Ok(text) = String::from_utf8(content.to_vec()) {
                files.push(TextFile { path: entry.path, text, is_executable: entry.is_executable });
            }
        }
        Ok(files)
    }

    /// Runs git with arguments of ours and hands `input` to it. Its standard output.
    async fn git(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: Option<&[u8]>,
    ) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new("git");
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .envs(self.settings())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(authorities) = &self.authorities {
            command.env("GIT_SSL_CAINFO", authorities);
        }
        let mut child = command.spawn().context("run git; is it installed?")?;
        let mut stdin = child.stdin.take().context("git has no input")?;
        let input = input.unwrap_or_default();
        let write = async move {
            // It may end before it has read everything; its status says why.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.context("run git")?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git ended with {}: {}", output.status, fleet::redact(said.trim()))
    }

    /// Settings by the environment: an argument could be seen by others, a file would stay.
    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            // Other ways would lead to files and programs of this machine.
            ("protocol.allow".to_owned(), "never".to_owned()),
            ("protocol.https.allow".to_owned(), "always".to_owned()),
            // The token would go along.
            ("http.followRedirects".to_owned(), "false".to_owned()),
        ];
        if let Some(token) = &self.remote.token {
            // All forges take a token as password of whomever.
            let login = STANDARD.encode(format!("x-access-token:{}", token.expose()));
            settings.push(("http.extraHeader".to_owned(), format!("Authorization: Basic {login}")));
        }
        let count = ("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
        let pairs = settings.into_iter().enumerate().flat_map(|(index, (key, value))| {
            [(format!("GIT_CONFIG_KEY_{index}"), key), (format!("GIT_CONFIG_VALUE_{index}"), value)]
        });
        pairs.chain([count]).collect()
    }
}

/// The machine's own authorities and further ones in one file, for git trusts those of one file only.
fn authorities(bundle: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let further = std::fs::read(bundle).with_context(|| format!("read {}", bundle.display()))?;
    let mut all = std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default();
    all.push(b'\n');
    all.extend(further);
    let path = folder.join("authorities.pem");
    std::fs::write(&path, all).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// A line of `git ls-tree --long`: `<mode> <type> <id> <size>\t<path>`. `None` unless it is a file of a fair size.
fn entry(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let (about, path) = line.split_once('\t')?;
    let mut about = about.split_ascii_whitespace();
    let (mode, _type, id, size) = (about.next()?, about.next()?, about.next()?, about.next()?);
    let size: u64 = size.parse().ok()?;
    let is_file = matches!(mode, "100644" | "100755") && size <= MAX_FILE;
    is_file.then(|| Entry { id: id.to_owned(), path: path.to_owned(), is_executable: mode == "100755" })
}

/// An answer of `git cat-file --batch`: `<id> <type> <size>\n<content>\n`, and what comes after it.
fn next_object(answer: &[u8]) -> anyhow::Result<(&[u8], &[u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n').context("git says too little")?;
    let header = String::from_utf8_lossy(&answer[..end]);
    let size: usize =
        header.rsplit(' ').next().and_then(|size| size.parse().ok()).context("git has no such object")?;
    let content = answer.get(end + 1..end + 1 + size).context("git says too little")?;
    Ok((content, answer.get(end + size + 2..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_submodules_are_no_files() {
        let shown = |line: &str| entry(line.as_bytes()).map(|entry| (entry.path, entry.is_executable));
        let id = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        assert_eq!(shown(&format!("100644 blob {id}       3\ta b/c")), Some(("a b/c".to_owned(), false)));
        assert_eq!(shown(&format!("100755 blob {id}       3\tx")), Some(("x".to_owned(), true)));
        assert_eq!(shown(&format!("120000 blob {id}       3\tlink")), None);
        assert_eq!(shown(&format!("160000 commit {id}       -\tsubmodule")), None);
        assert_eq!(shown(&format!("100644 blob {id} 1048577\tlarge")), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn objects_follow_one_another() {
        let answer = b"id blob 3\na\nb\nid blob 0\n\n";
        let (first, rest) = next_object(answer).unwrap();
        let (second, rest) = next_object(rest).unwrap();
        assert_eq!((first, second, rest), (&b"a\nb"[..], &b""[..], &b""[..]));
        assert!(next_object(b"id missing\n").is_err());
        assert!(next_object(b"id blob 9\nabc\n").is_err());
    }
}
