//! A server of Git repositories by plain HTTP, as every forge is one, for programs that fetch.
//!
//! ```text
//! let server = GitServer::start().await?;
//! let repository = server.repository("tasks")?;
//! let commit = repository.commit(&[("build.yaml", "kind: Task")])?;
//! // fetch server.url("tasks"), which --outbound-allow has to name: server.origin()
//! ```
//! The program `git` makes the repositories and answers for them (`git http-backend`).

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Serves until it is dropped.
#[derive(Debug)]
pub struct GitServer {
    origin: String,
    state: Arc<State>,
    serving: JoinHandle<io::Result<()>>,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Debug)]
struct State {
    folder: TempDir,
    /// Beginnings of paths, and where they lead.
    redirects: Mutex<Vec<(String, String)>>,
    calls: Mutex<Vec<String>>,
    is_stalled: watch::Sender<bool>,
}

/// A repository of a [`GitServer`], with a working tree.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl GitServer {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a port for a Git server")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State {
            folder: tempfile::tempdir()?,
            redirects: Mutex::default(),
            calls: Mutex::default(),
            is_stalled: watch::Sender::new(false),
        });
        let served = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Request| {
            let state = Arc::clone(&served);
            async move {
                let answered = state.answer(request).await;
                answered.unwrap_or_else(|error| {
                    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response()
                })
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { origin, state, serving })
    }

    /// `http://127.0.0.1:<port>`
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the repository of this name is, or would be.
    pub fn url(&self, repository: &str) -> String {
        format!("{}/{repository}", self.origin)
    }

    /// Makes an empty repository, whose branch is `main`.
    pub fn repository(&self, name: &str) -> anyhow::Result<Repository> {
        let repository = Repository { folder: self.state.folder.path().join(name) };
        std::fs::create_dir_all(&repository.folder)?;
        repository.git(&["init", "--quiet"])?;
        // As forges have it: without contents of files where a client wants none.
        repository.git(&["config", "uploadpack.allowFilter", "true"])?;
        Ok(repository)
    }

    /// From now on paths that begin with `/<from>/` are redirected to `<to>/`: another name here, or an address.
    pub fn redirect(&self, from: &str, to: &str) {
        self.state.redirects.lock().push((format!("/{from}/"), to.to_owned()));
    }

    /// Whether calls are left without an answer from now on. Those that wait are answered when it ends.
    pub fn stall(&self, is_stalled: bool) {
        self.state.is_stalled.send_replace(is_stalled);
    }

    /// Paths and queries of the calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().clone()
    }
}

impl Repository {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes files, commits all that is in the working tree, and returns the name of the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> anyhow::Result<String> {
        for (path, content) in files {
            let path = self.folder.join(path);
            std::fs::create_dir_all(path.parent().context("a path has a folder")?)?;
            std::fs::write(path, content)?;
        }
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "-m", "test"])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git` in the working tree, and returns what it says.
    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = std::process::Command::new("git")
            .args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@example.com",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .context("run git, of the package of that name")?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl State {
    async fn answer(&self, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        self.calls.lock().push(parts.uri.to_string());
        self.is_stalled.subscribe().wait_for(|is_stalled| !is_stalled).await?;
        if let Some(to) = self.redirected(path) {
            return Ok(Redirect::permanent(&format!("{to}?{query}")).into_response());
        }
        let header =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // The repository lies beside its working tree's files.
        let (repository, rest) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", self.folder.path())
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", format!("/{repository}/.git/{rest}"))
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", parts.method.as_str())
            .env("CONTENT_TYPE", header("content-type"))
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("run git http-backend")?;
        let body = body.collect().await?.to_bytes();
        // Dropped at once, which ends the input. One who has heard enough does not read all of it.
        let mut input = child.stdin.take().context("git http-backend has no input")?;
        let _ = input.write_all(&body).await;
        drop(input);
        answer(&child.wait_with_output().await?.stdout)
    }

    fn redirected(&self, path: &str) -> Option<String> {
        let redirects = self.redirects.lock();
        let (from, to) = redirects.iter().find(|(from, _)| path.starts_with(from))?;
        let rest = &path[from.len()..];
        Some(if to.contains("://") { format!("{to}/{rest}") } else { format!("/{to}/{rest}") })
    }
}

/// What a CGI program says: headers, an empty line, content (RFC 3875, section 6).
fn answer(output: &[u8]) -> anyhow::Result<Response> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").context("no headers")?;
    let mut answer = http::Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").context("a header without a value")?;
        answer = match name {
            "Status" => answer.status(value.split(' ').next().unwrap_or_default()),
            _ => answer.header(name, value),
        };
    }
    Ok(answer.body(Body::from(output[end + 4..].to_vec()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn git_fetches_from_it() {
        let server = GitServer::start().await.unwrap();
        let repository = server.repository("tasks").unwrap();
        let commit = repository.commit(&[("folder/build.yaml", "kind: Task")]).unwrap();
        server.redirect("moved", "tasks");
        let here = server.repository("clone").unwrap();
        for name in ["tasks", "moved"] {
            let url = server.url(name);
            let fetched = tokio::task::spawn_blocking({
                let here = here.clone();
                move || {
                    here.git(&["fetch", "--quiet", "--depth=1", &url, "main"])?;
                    here.git(&["show", "FETCH_HEAD:folder/build.yaml"])
                }
            });
            assert_eq!(fetched.await.unwrap().unwrap(), "kind: Task", "{name}");
        }
        assert_eq!(here.git(&["rev-parse", "FETCH_HEAD"]).unwrap(), commit);
        assert!(server.calls()[0].starts_with("/tasks/info/refs?service="), "{:?}", server.calls());
    }
}
