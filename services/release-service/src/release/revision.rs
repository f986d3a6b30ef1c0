//! Which commit a branch or tag is at when a run is made, so that its pipeline and its tasks are of one commit (spec, section 4.4).
//!
//! ```text
//! pipelineRef: url, revision, pathInRepo ─▶ Written ── GET <url>/info/refs ──▶ Advertised ─▶ commit
//! ```
//! Git's own protocol by HTTP is asked, which every forge speaks; a full commit needs no call.

mod advertised;

use fleet::outbound::{self, Client, Credential, Request, Streaming, Url};
use fleet::{Class, Classed as _, Secret};
use release_service_api::pipeline::PipelineRef;

use self::advertised::{Advertised, Found};
use super::start::Error;

/// Parameters of the resolver `git`.
pub(super) const URL: &str = "url";
pub(super) const REVISION: &str = "revision";
pub(super) const PATH: &str = "pathInRepo";

/// Bytes of names that a repository may advertise: those of some hundred thousand branches and pull requests. They are not held.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The server that [`GITHUB_TOKEN`](crate::Args::github_token) is for.
const GITHUB: &str = "github.com";
/// GitHub takes a token as the password of any user.
const GITHUB_USER: &str = "x-access-token";

/// A pipeline in Git, as it is written in a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) url: String,
    pub(super) revision: String,
    pub(super) path: String,
}

/// Why there is no commit.
#[derive(Debug)]
pub(super) enum Failure {
    /// Asking again would be answered the same.
    Final(String),
    /// May go away by itself.
    Passing(Error),
}

impl Written {
    /// `None` for another resolver. The error names what is missing.
    pub(super) fn of(pipeline: &PipelineRef) -> Option<Result<Self, String>> {
        (pipeline.resolver == PipelineRef::GIT).then(|| {
            let value = |name: &str| {
                let given = pipeline.params.iter().find(|param| param.name == name);
                let value = given.map(|param| param.value.trim()).filter(|value| !value.is_empty());
                value.map(str::to_owned).ok_or_else(|| {
                    format!("pipelineRef.params: {name} is missing or empty; the resolver git needs {URL}, {REVISION} and {PATH}")
                })
            };
            Ok(Self { url: value(URL)?, revision: value(REVISION)?, path: value(PATH)? })
        })
    }

    /// The commit that the revision is at now.
    pub(super) async fn commit(
        &self,
        outbound: &Client,
        github_token: Option<&Secret<String>>,
    ) -> Result<String, Failure> {
        if git::is_commit(&self.revision) {
            return Ok(self.revision.clone());
        }
        if !git::is_revision(&self.revision) {
            return Err(self.wrong("it is no name of a branch or tag, and no full commit"));
        }
        let url = self.address().map_err(Failure::Final)?;
        let request = request(url, github_token).map_err(|error| self.failed(error))?;
        let answer = outbound.open(request).await.map_err(|error| self.failed(error))?;
        let mut answer = self.checked(answer)?;
        let mut advertised = Advertised::of(&self.revision);
        while let Some(piece) = answer.chunk().await.map_err(|error| self.failed(error))? {
            advertised.read(&piece).map_err(|fault| self.no_server(&fault))?;
        }
        match advertised.found() {
            Ok(Found::Commit(commit)) => Ok(commit),
            Ok(Found::Nothing) => {
                Err(self.wrong("there is no such branch or tag, and a commit is named by all of its 40 digits"))
            }
            Ok(Found::Several) => Err(self.wrong(&format!(
                "there are a branch and a tag of this name that differ; write refs/heads/{0} or refs/tags/{0}",
                self.revision
            ))),
            Err(fault) => Err(self.no_server(&fault)),
        }
    }

    fn address(&self) -> Result<Url, String> {
        let wrong = |why: &str| {
            format!("pipelineRef.params: {URL} {:?} {why}, as https://git.example/org/repository", self.url)
        };
        let mut url =
            Url::parse(&self.url).map_err(|error| wrong(&format!("is no address ({error}); write it")))?;
        if url.cannot_be_a_base() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("is no address of a repository; write it without ? and #"));
        }
        url.set_path(&format!("{}/info/refs", url.path().trim_end_matches('/')));
        url.set_query(Some("service=git-upload-pack"));
        Ok(url)
    }

    fn checked(&self, answer: Streaming) -> Result<Streaming, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        match status.as_u16() {
            // Forges say any of them of a repository that is private.
            code @ (401 | 403 | 404) => Err(self.unusable(&format!(
                "HTTP {code}: there is no such repository, or it is private: only those of {GITHUB} are read with a token, GITHUB_TOKEN"
            ))),
            status => Err(self.failed(outbound::Error::Status {
                target: self.url.clone(),
                status,
                excerpt: String::new(),
                retry_at: None,
            })),
        }
    }

    fn failed(&self, error: outbound::Error) -> Failure {
        match error.class() {
            Class::Retry => Failure::Passing(Error::Revision {
                url: self.url.clone(),
                revision: self.revision.clone(),
                source: Box::new(error),
            }),
            Class::Wait | Class::Forget => self.unusable(&error.to_string()),
        }
    }

    fn no_server(&self, fault: &str) -> Failure {
        self.unusable(&format!("what answers there is no Git server: {fault}"))
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::Final(format!("pipelineRef.params: {URL} {:?}: {why}", self.url))
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::Final(format!("pipelineRef.params: {REVISION} {:?} of {}: {why}", self.revision, self.url))
    }
}

fn request(url: Url, token: Option<&Secret<String>>) -> Result<Request, outbound::Error> {
    let credential = credential(&url, token)?;
    let request = Request::get(url).limit(LIMIT);
    Ok(match &credential {
        Some(credential) => request.credential(credential),
        None => request,
    })
}

fn credential(url: &Url, token: Option<&Secret<String>>) -> Result<Option<Credential>, outbound::Error> {
    let is_github = url.host_str() == Some(GITHUB) && url.scheme() == "https";
    token.filter(|_| is_github).map(|token| Credential::basic(url, GITHUB_USER, token)).transpose()
}

#[cfg(test)]
mod tests;
