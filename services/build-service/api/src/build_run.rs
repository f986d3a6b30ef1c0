//! What build pipelines and the services around them call parameters, workspaces and results.

/// Parameters of a build, given by build-service.
pub mod params {
    /// URL of the repository.
    pub const GIT_URL: &str = "git-url";
    /// Branch or commit.
    pub const REVISION: &str = "revision";
    /// The image to push, with tag.
    pub const OUTPUT_IMAGE: &str = "output-image";
    /// After how long the image may go, such as `5d`. Given for pull requests only.
    pub const IMAGE_EXPIRES_AFTER: &str = "image-expires-after";
    /// Path of the Dockerfile.
    pub const DOCKERFILE: &str = "dockerfile";
    /// Directory in the repository.
    pub const PATH_CONTEXT: &str = "path-context";
    /// `true` if the checks are left out.
    pub const SKIP_CHECKS: &str = "skip-checks";
}

/// Workspaces of a build that build-service binds.
pub mod workspaces {
    /// For the sources: a volume.
    pub const WORKSPACE: &str = "workspace";
    /// Credentials for the repository: a Secret.
    pub const GIT_AUTH: &str = "git-auth";
}

/// Results of a build. Blanks around their values do not count.
pub mod results {
    /// The image with tag. Read by integration-service, build-service and chains.
    pub const IMAGE_URL: &str = "IMAGE_URL";
    /// Its digest. Read by the same.
    pub const IMAGE_DIGEST: &str = "IMAGE_DIGEST";
    /// URL of the repository that it was built from. Read by the same.
    pub const GIT_URL: &str = "CHAINS-GIT_URL";
    /// The commit. Read by the same.
    pub const GIT_COMMIT: &str = "CHAINS-GIT_COMMIT";
    /// What it takes from communities of Java. Read by jvm-build-service.
    pub const JAVA_COMMUNITY_DEPENDENCIES: &str = "JAVA_COMMUNITY_DEPENDENCIES";
}

/// Results of tasks of a build, read by rules of enterprise-contract.
pub mod task_results {
    /// How checks ended, in JSON. Also read by integration-service.
    pub const TEST_OUTPUT: &str = "TEST_OUTPUT";
    /// What a scan found, in JSON.
    pub const SCAN_OUTPUT: &str = "SCAN_OUTPUT";
    /// The images that a task looked at, in JSON.
    pub const IMAGES_PROCESSED: &str = "IMAGES_PROCESSED";
    /// Digests of the images that were built on.
    pub const BASE_IMAGES_DIGESTS: &str = "BASE_IMAGES_DIGESTS";
    /// How many parts are of Java.
    pub const SBOM_JAVA_COMPONENTS_COUNT: &str = "SBOM_JAVA_COMPONENTS_COUNT";
}
