//! `git-clone`: one commit of a repository.

mod home;

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use home::Home;

use crate::context::{Context, Flag, bound, say};
use crate::program::{Ended, Program};
use crate::{links, results};

/// Clones one commit of a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    url: String,
    /// Commit, branch or tag. Empty: the default branch.
    #[arg(long, default_value = "")]
    revision: String,
    /// What to fetch before the revision is checked out.
    #[arg(long, default_value = "")]
    refspec: String,
    #[arg(long, default_value = "true", value_name = "BOOL")]
    submodules: Flag,
    /// Commits that are fetched. 0: all.
    #[arg(long, default_value_t = 1)]
    depth: u32,
    #[arg(long, default_value = "true", value_name = "BOOL")]
    ssl_verify: Flag,
    /// Folder within the output.
    #[arg(long, default_value = "source", value_name = "PATH")]
    subdirectory: PathBuf,
    /// Patterns that are checked out, separated by commas. Empty: all.
    #[arg(long, default_value = "")]
    sparse_checkout_directories: String,
    /// Empties the folder first.
    #[arg(long, default_value = "true", value_name = "BOOL")]
    delete_existing: Flag,
    #[arg(long, default_value = "")]
    http_proxy: String,
    #[arg(long, default_value = "")]
    https_proxy: String,
    #[arg(long, default_value = "")]
    no_proxy: String,
    #[arg(long, default_value = "false", value_name = "BOOL")]
    verbose: Flag,
    /// Where the files that log in to the forge are.
    #[arg(long, default_value = "/tekton/home", value_name = "DIR")]
    user_home: PathBuf,
    /// Refuses links that lead out of the checkout.
    #[arg(long, default_value = "true", value_name = "BOOL")]
    enable_symlink_check: Flag,
    #[arg(long, default_value = "false", value_name = "BOOL")]
    fetch_tags: Flag,
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Keys for ssh, `config` and `known_hosts`.
    #[arg(long, value_name = "DIR")]
    ssh_directory: Option<std::ffi::OsString>,
    /// `.git-credentials` and `.gitconfig`, or `username` and `password`.
    #[arg(long, value_name = "DIR")]
    basic_auth: Option<std::ffi::OsString>,
    #[arg(long, value_name = "PATH")]
    result_commit: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_url: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_short_commit: Option<PathBuf>,
    #[arg(long, value_name = "PATH")]
    result_commit_timestamp: Option<PathBuf>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    args.check()?;
    let checkout = args.output.join(&args.subdirectory);
    fs::create_dir_all(&checkout).with_context(|| format!("create {}", checkout.display()))?;
    if args.delete_existing.0 {
        empty(&checkout).with_context(|| format!("empty {}", checkout.display()))?;
    }
    let home = Home::new(&home::Sources {
        url: &args.url,
        user_home: &args.user_home,
        basic_auth: bound(args.basic_auth.clone().map(PathBuf::from)),
        ssh: bound(args.ssh_directory.clone().map(PathBuf::from)),
        ca_bundle: context.ca_bundle.as_deref(),
    })?;
    let git = Git { args: &args, home: &home, checkout: &checkout };
    git.clone().await.with_context(|| format!("clone {}", fleet::redact(&args.url)))?;
    if args.enable_symlink_check.0 {
        check_links(&checkout)?;
    }
    let commit = git.ask(&["rev-parse", "HEAD"]).await?;
    say(&format!("{} is at {commit}", fleet::redact(&args.url)));
    results::write(&args.result_commit, &commit)?;
    results::write(&args.result_url, &args.url)?;
    if let Some(path) = &args.result_short_commit {
        results::write(path, &git.ask(&["rev-parse", "--short", "HEAD"]).await?)?;
    }
    if let Some(path) = &args.result_commit_timestamp {
        results::write(path, &git.ask(&["log", "-1", "--format=%ct"]).await?)?;
    }
    Ok(())
}

impl Args {
    /// What git would take for something else than it is.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.url.is_empty(), "--url is empty: which repository?");
        for (name, value) in [("url", &self.url), ("revision", &self.revision), ("refspec", &self.refspec)] {
            ensure!(
                !value.starts_with('-') && !value.contains(['\0', '\n', '\r']),
                "--{name} begins with - or has a line break"
            );
        }
        // As `ext::`, which runs what it names.
        ensure!(
            !self.url.contains("::"),
            "--url names a helper of git's: only http(s), ssh and git are cloned"
        );
        let is_inner = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        ensure!(
            self.subdirectory.components().all(is_inner),
            "--subdirectory {} leads out of the output folder",
            self.subdirectory.display()
        );
        Ok(())
    }
}

struct Git<'a> {
    args: &'a Args,
    home: &'a Home,
    checkout: &'a Path,
}

impl Git<'_> {
    async fn clone(&self) -> anyhow::Result<()> {
        let args = self.args;
        self.git(&["init", "--quiet"]).await?;
        self.git(&["remote", "add", "--", "origin", &args.url]).await?;
        let patterns: Vec<_> = args
            .sparse_checkout_directories
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect();
        if !patterns.is_empty() {
            self.git(&["config", "core.sparseCheckout", "true"]).await?;
            let info = self.checkout.join(".git/info");
            fs::create_dir_all(&info)?;
            fs::write(info.join("sparse-checkout"), patterns.join("\n") + "\n")?;
        }
        let revision = if args.revision.is_empty() { "HEAD" } else { &args.revision };
        let depth = format!("--depth={}", args.depth);
        let mut fetch = vec!["fetch", "--update-head-ok", "--force"];
        fetch.push(if args.fetch_tags.0 { "--tags" } else { "--no-tags" });
        // Those that are wanted come with the checkout.
        fetch.push("--no-recurse-submodules");
        if args.depth > 0 {
            fetch.push(&depth);
        }
        fetch.extend(["--", "origin"]);
        if args.refspec.is_empty() {
            fetch.push(revision);
        } else {
            fetch.extend(args.refspec.split_whitespace());
        }
        self.git(&fetch).await?;
        let wanted = if args.refspec.is_empty() { "FETCH_HEAD" } else { revision };
        self.git(&["-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", wanted, "--"])
            .await?;
        if args.submodules.0 && self.checkout.join(".gitmodules").exists() {
            let mut update = vec!["submodule", "update", "--init", "--recursive", "--force"];
            if args.depth > 0 {
                update.push(&depth);
            }
            self.git(&update).await?;
        }
        Ok(())
    }

    async fn git(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let program = self.program(arguments);
        let program = if self.args.verbose.0 { program } else { program.quiet() };
        Ok(program.run().await?.success()?)
    }

    async fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(self.program(arguments).capture().run().await?.success()?.text())
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let mut program = Program::new("git").folder(self.checkout);
        // The folder of a workspace may belong to another user; hooks and the like are nobody's here.
        for setting in ["safe.directory=*", "core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0"] {
            program = program.arg("-c").arg(setting);
        }
        if !self.args.ssl_verify.0 {
            program = program.arg("-c").arg("http.sslVerify=false");
        }
        program = program.args(arguments).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        // Also of submodules: no files of this machine, no programs.
        program = program.env("GIT_ALLOW_PROTOCOL", "http:https:ssh:git");
        let proxies = [
            ("http_proxy", &self.args.http_proxy),
            ("https_proxy", &self.args.https_proxy),
            ("no_proxy", &self.args.no_proxy),
        ];
        for (name, value) in proxies.into_iter().filter(|(_, value)| !value.is_empty()) {
            program = program.env(name, value);
        }
        self.home.env().into_iter().fold(program, |program, (name, value)| program.env(name, value))
    }
}

/// Removes all that is in a folder, but not the folder: it may be a mount.
fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn check_links(checkout: &Path) -> anyhow::Result<()> {
    let outward = links::outward(checkout).context("look for links that lead out of the checkout")?;
    if outward.is_empty() {
        return Ok(());
    }
    say("The cloned repository has symbolic links that lead out of it:");
    for link in &outward {
        say(&format!("  {link}"));
    }
    let shown: Vec<_> = outward.iter().take(5).map(ToString::to_string).collect();
    bail!(
        "the repository has {} links that lead out of it ({}); remove them, or set enableSymlinkCheck to false",
        outward.len(),
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests;
