//! Keys of labels, and their values where they are from a closed set.

use fleet_api::LabelKey;

/// `PipelineRun` label: name of the Application. Copied to what is made of the run.
pub const APPLICATION: LabelKey = LabelKey::new("appstudio.openshift.io/application");

/// `PipelineRun` label: name of the Component that is built. Copied to what is made of the run.
pub const COMPONENT: LabelKey = LabelKey::new("appstudio.openshift.io/component");

/// `PipelineRun` label: what the run is for. Written by its creator.
pub const TYPE: LabelKey = LabelKey::new("pipelines.appstudio.openshift.io/type");

/// [`TYPE`] of a run that builds a Component.
pub const TYPE_BUILD: &str = "build";

/// [`TYPE`] of a run that tests a Snapshot. Such runs outlive their Component.
pub const TYPE_TEST: &str = "test";

/// `PipelineRun` label: [`NUDGE_TYPE`] on a run that proposes a new image to other Components.
pub const RUN_TYPE: LabelKey = LabelKey::new("build.appstudio.redhat.com/type");

/// The value of [`RUN_TYPE`].
pub const NUDGE_TYPE: &str = "nudge";

/// Secret label: [`PART_OF_APPSTUDIO`] on the Secret of webhooks.
pub const PART_OF: LabelKey = LabelKey::new("app.kubernetes.io/part-of");

/// The value of [`PART_OF`].
pub const PART_OF_APPSTUDIO: &str = "appstudio";

/// Secret label: what its credentials are for. Written by users.
pub const CREDENTIALS: LabelKey = LabelKey::new("appstudio.redhat.com/credentials");

/// [`CREDENTIALS`] for a forge.
pub const CREDENTIALS_SCM: &str = "scm";

/// [`CREDENTIALS`] for a host of RPM packages.
pub const CREDENTIALS_RPM: &str = "rpm";

/// Secret label: host that its credentials are for. Written by users.
pub const SCM_HOST: LabelKey = LabelKey::new("appstudio.redhat.com/scm.host");

/// Secret label: `true` if it is linked to the `ServiceAccount` of each Component. Written by users.
pub const COMMON_SECRET: LabelKey = LabelKey::new("build.appstudio.openshift.io/common-secret");

/// Secret label: `true` if made by the platform, not by a user. Written by image-controller; such Secrets are not handed
/// to the runs of `MintMaker`.
pub const INTERNAL: LabelKey = LabelKey::new("appstudio.redhat.com/internal");

/// Namespace label: name of its workspace. Written by registration-service.
pub const WORKSPACE_NAME: LabelKey = LabelKey::new("appstudio.redhat.com/workspace_name");

/// Labels of the runs that look through dependencies.
pub mod mintmaker {
    use fleet_api::LabelKey;

    /// Name of the Application.
    pub const APPLICATION: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/application");

    /// Name of the Component.
    pub const COMPONENT: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/component");

    /// Namespace of the Component.
    pub const NAMESPACE: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/namespace");

    /// Kind of the forge: `github`, `gitlab` or `forgejo`.
    pub const GIT_PLATFORM: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/git-platform");

    /// Host of the forge.
    pub const GIT_HOST: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/git-host");

    /// Path of the repository, with `_` for `/`.
    pub const REPOSITORY: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/repository");

    /// The branch, with `_` for `/`.
    pub const BRANCH: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/branch");

    /// First 12 hexadecimal digits of SHA-256 over `<host>/<repository>@<branch>`: a branch has one run at a
    /// time.
    pub const REPO_BRANCH_HASH: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/repo-branch-hash");

    /// ConfigMap label: `true` if OpenShift fills it with the certificates that runs trust.
    pub const INJECT_TRUSTED_CA: LabelKey = LabelKey::new("config.openshift.io/inject-trusted-cabundle");
}
