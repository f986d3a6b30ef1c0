//! What `status.message` says, where it is no error's text.

/// The organization may have no further private repository: at creation.
pub(crate) const PLAN_LIMIT: &str = "Number of private repositories exceeds current quay plan limit";
/// The same, later.
pub(crate) const NO_MORE_PRIVATE: &str = "Quay organization plan private repositories limit exceeded";
/// It lacks what a repository that is ready has.
pub(crate) const DAMAGED: &str = "status has lost what was made at the registry; remove the finalizer \
                                  appstudio.openshift.io/image-repository to have it made up for";
/// The registry has it no more.
pub(crate) const MISSING: &str = "the registry has no such repository; remove the finalizer \
                                  appstudio.openshift.io/image-repository to have it made anew, without images";
/// It comes from a backup.
pub(crate) const RESTORED: &str = "restored from a backup: nothing is done for it until the label \
                                   velero.io/restore-name and the annotation fleet.konflux-ci.dev/uid are removed";
/// It cannot be known whose Secrets are where.
pub(crate) const NOT_LINKED: &str = "the Secrets are not linked to their ServiceAccounts after two minutes; the \
                                     first builds may not be able to push";
