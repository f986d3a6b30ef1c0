//! A request that brings a Component's pipelines into its repository (specification, section 4.6).

use build_service_api::ErrorId;
use forge::{Commit, FileChange, FileLimits, NewCommit, NewRequest, OpenRequest, Opened};

use super::words::Words;
use crate::failure::Failure;
use crate::git::{Access, Source};

/// Where the files are.
const DIRECTORY: &str = ".tekton";

/// Of the files that are compared.
const LIMITS: FileLimits = FileLimits { files: 8, file: 4 * 1024 * 1024, total: 16 * 1024 * 1024 };

/// The first time a branch whose request is over may be in the way.
const TRIES: usize = 2;

/// What was proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// Where people see the request.
    pub(crate) url: String,
    /// Paths of files that the branch has with other content.
    pub(crate) replaced: Vec<String>,
}

/// What came of a try.
enum Attempt {
    /// The files are as they shall be.
    Same,
    Proposed(Proposal),
    /// A branch whose request is over was in the way, and is no more.
    InTheWay,
}

/// What a branch is that was there before.
enum Known {
    /// It has an open request, and the files.
    Open(OpenRequest),
    /// It has the files, and waits for a request.
    Ready,
    /// Its request is over.
    Old,
}

/// How a file is, compared with what it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Same,
    Other,
    Absent,
}

/// Proposes files (path below `.tekton`, and text) to a branch. `None` if it has them as they shall be.
pub(crate) async fn propose(
    access: &Access,
    source: &Source,
    branch: &str,
    files: &[(String, String)],
    component: &str,
) -> Result<Option<Proposal>, Failure> {
    let words = Words::new(access, component);
    let step = Step { access, source, branch, files, words: &words };
    for _ in 0..TRIES {
        match step.attempt().await? {
            Attempt::Same => return Ok(None),
            Attempt::Proposed(proposal) => return Ok(Some(proposal)),
            Attempt::InTheWay => {}
        }
    }
    let detail = format!(
        "{}: branch {:?} has nothing that {branch:?} has not, though the files differ",
        source.name(),
        words.branch()
    );
    Err(Failure::transient(detail))
}

struct Step<'a> {
    access: &'a Access,
    source: &'a Source,
    branch: &'a str,
    files: &'a [(String, String)],
    words: &'a Words<'a>,
}

impl Step<'_> {
    async fn attempt(&self) -> Result<Attempt, Failure> {
        let Self { access, source, branch, words, .. } = *self;
        let (changes, repository) = (&access.changes, &source.repository);
        let refused = |error| access.refused(source, &error);
        let base = access.head(source, branch).await?;
        let states = self.states(&base).await?;
        if states.iter().all(|state| *state == State::Same) {
            return Ok(Attempt::Same);
        }
        let replaced: Vec<String> =
            self.of_state(&states, State::Other).map(|(path, _)| path.clone()).collect();
        match changes.begin(repository, &self.commit(&base, &states)).await {
            Ok(_) => {}
            Err(forge::Error::Conflict { .. }) => match self.known_branch(&base).await? {
                Known::Open(open) => return Ok(Attempt::Proposed(Proposal { url: open.url, replaced })),
                Known::Ready => {}
                Known::Old => return self.clear().await,
            },
            Err(error) => return Err(refused(error)),
        }
        let new = NewRequest {
            head: words.branch(),
            base: branch.to_owned(),
            title: words.title(),
            body: words.body(&replaced),
            labels: Vec::new(),
        };
        match changes.open_request(repository, &new).await.map_err(refused)? {
            Opened::Request(open) => Ok(Attempt::Proposed(Proposal { url: open.url, replaced })),
            // It was merged, and the files changed since.
            Opened::NoDifference => self.clear().await,
        }
    }

    /// What our branch is, which is there already: of an earlier time, or of a try that broke off.
    async fn known_branch(&self, base: &Commit) -> Result<Known, Failure> {
        let Self { access, source, branch, words, .. } = *self;
        let (changes, repository, head) = (&access.changes, &source.repository, words.branch());
        let refused = |error| access.refused(source, &error);
        let known = changes.branch_head(repository, &head).await.map_err(refused)?;
        let known = known.ok_or_else(|| {
            Failure::transient(format!("{}: branch {head:?} came or went meanwhile", source.name()))
        })?;
        let states = self.states(&known).await?;
        let is_same = states.iter().all(|state| *state == State::Same);
        let mut open = changes.requests(repository, &head, branch).await.map_err(refused)?;
        match (open.pop(), open.len()) {
            (None, _) if is_same => Ok(Known::Ready),
            // Onto what was merged or refused nothing is put: the next request would bring it again.
            (None, _) => Ok(Known::Old),
            (Some(one), 0) => {
                if !is_same {
                    changes.push(repository, &self.commit(base, &states)).await.map_err(refused)?;
                }
                Ok(Known::Open(one))
            }
            (Some(_), more) => {
                let detail = format!(
                    "{}: {} requests are open from branch {head:?} to {branch:?}; close all but one",
                    source.name(),
                    more + 1
                );
                Err(Failure::permanent(ErrorId::Unknown, detail))
            }
        }
    }

    /// Takes our branch away, that it can begin anew.
    async fn clear(&self) -> Result<Attempt, Failure> {
        let Self { access, source, words, .. } = *self;
        let gone = access.changes.delete_branch(&source.repository, &words.branch()).await;
        gone.map_err(|error| access.refused(source, &error))?;
        Ok(Attempt::InTheWay)
    }

    fn of_state<'b>(
        &'b self,
        states: &'b [State],
        wanted: State,
    ) -> impl Iterator<Item = &'b (String, String)> {
        states.iter().zip(self.files).filter(move |(state, _)| **state == wanted).map(|(_, file)| file)
    }

    /// In the order of the files.
    async fn states(&self, commit: &Commit) -> Result<Vec<State>, Failure> {
        let Self { access, source, files, .. } = *self;
        let is_wanted = |path: &str| files.iter().any(|(wanted, _)| wanted == path);
        let found = access.changes.files(&source.repository, commit, DIRECTORY, LIMITS, &is_wanted).await;
        let found = found.map_err(|error| access.refused(source, &error))?;
        let state = |(path, text): &(String, String)| match found.iter().find(|file| file.path == *path) {
            Some(file) if file.content == text.as_bytes() => State::Same,
            Some(_) => State::Other,
            None => State::Absent,
        };
        Ok(files.iter().map(state).collect())
    }

    /// With those files that are not as they shall be. `base` is where the branch begins if it is new.
    fn commit(&self, base: &Commit, states: &[State]) -> NewCommit {
        let wrong = states.iter().zip(self.files).filter(|(state, _)| **state != State::Same);
        let change = |(path, text): &(String, String)| FileChange {
            path: path.clone(),
            content: Some(text.clone().into_bytes()),
            executable: false,
        };
        NewCommit {
            branch: self.words.branch(),
            base: base.clone(),
            changes: wrong.map(|(_, file)| change(file)).collect(),
            message: self.words.title(),
            author: Some(self.words.author()),
        }
    }
}
