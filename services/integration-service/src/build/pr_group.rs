//! Which pull requests belong together: those of branches of the same name (specification, annex L12).

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::origin::Origin;

/// Branches that everybody has: they only group the pull requests of one organisation.
const MAIN_BRANCHES: [&str; 2] = ["main", "master"];

/// Hexadecimal digits of the hash, which has to fit into a label.
const HASH: usize = 62;

/// A group of pull requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrGroup {
    /// What the annotation [`PR_GROUP`](integration_service_api::annotations::PR_GROUP) says.
    pub(super) name: String,
    /// The same as a label, [`PR_GROUP_SHA`](integration_service_api::labels::PR_GROUP_SHA).
    pub(super) hash: String,
}

impl PrGroup {
    /// Of a build for a pull request.
    pub(super) fn of(origin: &Origin<'_>) -> Option<Self> {
        if origin.is_push() {
            return None;
        }
        let branch = origin.source_branch?;
        let branch = branch.split_once('@').map_or(branch, |(name, _)| name);
        let name = match origin.url_org {
            Some(org) if MAIN_BRANCHES.contains(&branch) => format!("{branch}-{org}"),
            _ => branch.to_owned(),
        };
        let mut hash = HEXLOWER.encode(&Sha256::digest(&name));
        hash.truncate(HASH);
        Some(Self { name, hash })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::branch(Some("pull_request"), Some("fix"), Some("fix"))]
    #[case::with_the_name_of_a_fork(Some("pull_request"), Some("fix@fork"), Some("fix"))]
    #[case::main(Some("Merge Request"), Some("main"), Some("main-org"))]
    #[case::main_of_a_fork(Some("pull_request"), Some("master@fork"), Some("master-org"))]
    #[case::push(Some("push"), Some("fix"), None)]
    #[case::by_hand(None, Some("fix"), None)]
    #[case::unknown_branch(Some("pull_request"), None, None)]
    fn branches_make_groups(
        #[case] event_type: Option<&str>,
        #[case] source_branch: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let origin = Origin { event_type, source_branch, url_org: Some("org"), ..Origin::default() };
        assert_eq!(PrGroup::of(&origin).map(|group| group.name).as_deref(), expected);
    }

    #[test]
    fn the_hash_is_that_of_the_original() {
        let origin =
            Origin { event_type: Some("pull_request"), source_branch: Some("abc"), ..Origin::default() };
        let group = PrGroup::of(&origin).unwrap();
        // printf abc | sha256sum | cut -c 1-62
        assert_eq!(group.hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015");
    }
}
