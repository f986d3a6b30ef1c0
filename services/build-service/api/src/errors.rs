//! Errors of builds, by the numbers under which users look for them.

/// Why a request failed for good: `error-id` in the [`BuildStatus`](crate::BuildStatus). What may pass is tried again
/// and has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumIter, strum::FromRepr)]
#[repr(i32)]
pub enum ErrorId {
    Unknown = 1,
    PacSecretNotFound = 50,
    PacSecretInvalid = 51,
    PacRouteDoesNotExist = 52,
    /// pipelines-as-code refuses a second Repository of one URL.
    PacDuplicateRepository = 53,
    /// pipelines-as-code refuses the URL of the Repository.
    PacNotAllowedRepositoryUrl = 54,
    UnknownGitProvider = 60,
    HttpUsedForRepositoryAccess = 61,
    /// The URL is of a directory or file.
    WrongSourceUrl = 62,
    RepositoryDoesNotExist = 63,
    RepositoryRulePreventsAction = 64,
    GitHubAppNotInstalled = 70,
    GitHubAppMalformedPrivateKey = 71,
    GitHubAppPrivateKeyNotMatched = 72,
    GitHubAppDoesNotExist = 73,
    GitHubTokenUnauthorized = 74,
    GitHubNoResourceToOperateOn = 75,
    GitHubReachedRateLimit = 76,
    GitHubAppMalformedId = 77,
    GitHubAppSuspended = 78,
    GitHubSecretInvalid = 79,
    GitHubSecretTypeNotSupported = 80,
    GitLabTokenUnauthorized = 90,
    GitLabTokenInsufficientScope = 91,
    /// Also: the account is blocked.
    GitLabSecretInvalid = 92,
    GitLabSecretTypeNotSupported = 93,
    GitLabBranchDoesNotExist = 94,
    ForgejoTokenUnauthorized = 110,
    ForgejoTokenInsufficientScope = 111,
    ForgejoBranchDoesNotExist = 112,
    ForgejoRepositoryDoesNotExist = 113,
    ForgejoSecretTypeNotSupported = 114,
    ForgejoHasNoApps = 115,
    FailedToParseImageAnnotation = 200,
    ComponentGitSecretMissing = 201,
    ImageRepositorySecretMissing = 202,
    ComponentGitSecretNotSpecified = 203,
    PipelineAnnotationUnreadable = 204,
    InvalidDevfile = 220,
    NoPipelineIsSelected = 300,
    BuildPipelineSelectorNotDefined = 301,
    UnsupportedPipelineRef = 302,
    MissingParamsForPipelineRef = 303,
    WrongPipelineAnnotation = 304,
    PipelineConfigMissing = 305,
    PipelineConfigInvalid = 306,
    PipelineNotInConfig = 307,
    PipelineAnnotationMissing = 308,
    PipelineRetrievalFailed = 400,
    PipelineConversionFailed = 401,
}

impl ErrorId {
    /// As in `error-id`.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What `error-message` says after the number.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Unknown => "unknown error",
            Self::PacSecretNotFound => "Pipelines as Code secret does not exist",
            Self::PacSecretInvalid => "Invalid Pipelines as Code secret",
            Self::PacRouteDoesNotExist => "Pipelines as Code public route does not exist",
            Self::PacDuplicateRepository => "Git repository is already handled by Pipelines as Code",
            Self::PacNotAllowedRepositoryUrl => "Git repository url isn't allowed",
            Self::UnknownGitProvider => "unknown git provider of the source repository",
            Self::HttpUsedForRepositoryAccess => "http used for git repository, use secure connection",
            Self::WrongSourceUrl => "The source url is of a directory or file, not of a git repository",
            Self::RepositoryDoesNotExist => "Git repository or its host does not exist",
            Self::RepositoryRulePreventsAction => "A rule of the git repository prevents the action",
            Self::GitHubAppNotInstalled => "GitHub Application is not installed in user repository",
            Self::GitHubAppMalformedPrivateKey => "malformed GitHub Application private key",
            Self::GitHubAppPrivateKeyNotMatched => {
                "GitHub Application private key does not match Application ID"
            }
            Self::GitHubAppDoesNotExist => "GitHub Application with given ID does not exist",
            Self::GitHubTokenUnauthorized => "Access token is unrecognizable by GitHub",
            Self::GitHubNoResourceToOperateOn => "No resource for finishing the request",
            Self::GitHubReachedRateLimit => "Reach GitHub REST API rate limit",
            Self::GitHubAppMalformedId => "malformed GitHub Application ID",
            Self::GitHubAppSuspended => "GitHub Application is suspended for repository",
            Self::GitHubSecretInvalid => "GitHub secret invalid",
            Self::GitHubSecretTypeNotSupported => "GitHub secret type not supported",
            Self::GitLabTokenUnauthorized => "Access token is unrecognizable by remote GitLab service",
            Self::GitLabTokenInsufficientScope => "GitLab access token does not have enough scope",
            Self::GitLabSecretInvalid => "GitLab secret invalid",
            Self::GitLabSecretTypeNotSupported => "GitLab secret type not supported",
            Self::GitLabBranchDoesNotExist => "GitLab branch does not exist",
            Self::ForgejoTokenUnauthorized => "Access token is unrecognizable by remote Forgejo service",
            Self::ForgejoTokenInsufficientScope => "Forgejo access token does not have enough scope",
            Self::ForgejoBranchDoesNotExist => "Forgejo branch does not exist",
            Self::ForgejoRepositoryDoesNotExist => "Forgejo repository does not exist",
            Self::ForgejoSecretTypeNotSupported => "Forgejo secret type not supported",
            Self::ForgejoHasNoApps => "Forgejo has no applications, use an access token",
            Self::FailedToParseImageAnnotation => "Failed to parse image.redhat.com/image annotation value",
            Self::ComponentGitSecretMissing => "Secret with git credential not found",
            Self::ImageRepositorySecretMissing => "Component image repository secret not found",
            Self::ComponentGitSecretNotSpecified => {
                "Git credentials for private Component git repository not given"
            }
            Self::PipelineAnnotationUnreadable => {
                "Failed to parse build.appstudio.openshift.io/pipeline annotation value"
            }
            Self::InvalidDevfile => "Component Devfile is invalid",
            Self::NoPipelineIsSelected => {
                "No pipeline is selected for component repository based on predefined selectors."
            }
            Self::BuildPipelineSelectorNotDefined => "Build pipeline selector is not defined yet.",
            Self::UnsupportedPipelineRef => {
                "The pipelineRef for this component (based on pipeline selectors) is not supported."
            }
            Self::MissingParamsForPipelineRef => {
                "The pipelineRef for this component is missing required parameters ('name' and/or 'bundle')."
            }
            Self::WrongPipelineAnnotation => {
                "The build.appstudio.openshift.io/pipeline annotation has no usable name and bundle."
            }
            Self::PipelineConfigMissing => "The ConfigMap with build pipelines does not exist.",
            Self::PipelineConfigInvalid => "The ConfigMap with build pipelines is invalid.",
            Self::PipelineNotInConfig => {
                "The pipeline of this component is not in the ConfigMap with build pipelines."
            }
            Self::PipelineAnnotationMissing => {
                "The build.appstudio.openshift.io/pipeline annotation is missing."
            }
            Self::PipelineRetrievalFailed => "Failed to retrieve the pipeline selected for this component.",
            Self::PipelineConversionFailed => {
                "Failed to convert the selected pipeline to the supported Tekton API version."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use strum::IntoEnumIterator as _;

    #[rstest]
    #[case(50, "Pipelines as Code secret does not exist")]
    #[case(54, "Git repository url isn't allowed")]
    #[case(78, "GitHub Application is suspended for repository")]
    #[case(301, "Build pipeline selector is not defined yet.")]
    fn has_its_number_and_words(#[case] number: i32, #[case] message: &str) {
        let error = ErrorId::from_repr(number).unwrap();
        assert_eq!((error.number(), error.message()), (number, message));
    }

    #[test]
    fn no_two_say_the_same() {
        let mut messages: Vec<_> = ErrorId::iter().map(ErrorId::message).collect();
        messages.sort_unstable();
        let all = messages.len();
        messages.dedup();
        assert_eq!(messages.len(), all);
    }
}
