//! Which pull request something was built for.

use kube::ResourceExt;

use crate::origin::Origin;

/// A pull request of one repository. Two repositories may have the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PullRequest {
    /// Owner, name, and URL, as Pipelines-as-Code wrote them: always in the same way.
    repository: [Option<String>; 3],
    number: String,
}

impl PullRequest {
    /// Of a build's run, or of a Snapshot. Of a push it is the pull request that was merged, if it says so.
    pub(crate) fn of(object: &impl ResourceExt) -> Option<Self> {
        let origin = Origin::of(object);
        let repository = [origin.url_org, origin.url_repository, origin.repo_url];
        Some(Self {
            repository: repository.map(|part| part.map(ToOwned::to_owned)),
            number: origin.pull_request?.to_owned(),
        })
    }

    /// Of one repository.
    #[cfg(test)]
    pub(crate) fn numbered(number: u32) -> Self {
        Self { repository: [None, None, None], number: number.to_string() }
    }
}
