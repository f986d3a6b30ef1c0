//! What the answers of forges mean for a request (specification, section 8).

use std::time::Duration;

use build_service_api::ErrorId;
use fleet::Clock;
use forge::{Error, Provider};

use super::source::Source;
use crate::failure::Failure;

/// Words by which forges say that the repository's own rules are in the way.
const RULES: [&str; 4] = ["rule violation", "protected branch", "not allowed to push", "archived"];

/// After a limit callers return within so long, not all at once.
const SPREAD: Duration = Duration::from_secs(10);

/// What a forge's answer means. `by_app`: it was asked with a token of the GitHub App.
pub(super) fn failure(source: &Source, by_app: bool, error: &Error, clock: &Clock) -> Failure {
    let detail = format!("{}: {error}", source.name());
    let permanent = |id| Failure::permanent(id, detail.clone());
    let retry_after = error.retry_at().map(|at| {
        let wait = Duration::try_from(at.duration_since(clock.now())).unwrap_or_default();
        wait + SPREAD.mul_f64(rand::random_range(0.0..=1.0))
    });
    match error {
        Error::Unreachable { .. } | Error::RateLimited { .. } | Error::Conflict { .. } => {
            Failure::Transient { detail, retry_after }
        }
        Error::Forbidden { reason, .. } | Error::Invalid { reason, .. } if is_rule(reason) => {
            permanent(ErrorId::RepositoryRulePreventsAction)
        }
        Error::Refused { .. } => permanent(ErrorId::PacNotAllowedRepositoryUrl),
        Error::Unauthorized { .. } => permanent(match source.provider {
            Provider::GitLab => ErrorId::GitLabTokenUnauthorized,
            Provider::Gitea => ErrorId::ForgejoTokenUnauthorized,
            _ => ErrorId::GitHubTokenUnauthorized,
        }),
        Error::Forbidden { reason, .. } => permanent(match source.provider {
            Provider::GitLab if reason.contains("blocked") => ErrorId::GitLabSecretInvalid,
            Provider::GitLab => ErrorId::GitLabTokenInsufficientScope,
            Provider::Gitea => ErrorId::ForgejoTokenInsufficientScope,
            _ if by_app && reason.contains("suspended") => ErrorId::GitHubAppSuspended,
            _ => ErrorId::GitHubNoResourceToOperateOn,
        }),
        Error::NotFound { .. } => permanent(match source.provider {
            Provider::GitLab => ErrorId::RepositoryDoesNotExist,
            Provider::Gitea => ErrorId::ForgejoRepositoryDoesNotExist,
            _ => ErrorId::GitHubNoResourceToOperateOn,
        }),
        Error::TooLarge { .. } | Error::Invalid { .. } => permanent(ErrorId::Unknown),
    }
}

/// There is no branch of this name.
pub(super) fn no_branch(source: &Source, branch: &str) -> Failure {
    let id = match source.provider {
        Provider::GitLab => ErrorId::GitLabBranchDoesNotExist,
        Provider::Gitea => ErrorId::ForgejoBranchDoesNotExist,
        _ => ErrorId::GitHubNoResourceToOperateOn,
    };
    let detail = format!(
        "{} has no branch {branch:?}: was it renamed or deleted? spec.source.git.revision names the branch to use",
        source.name()
    );
    Failure::permanent(id, detail)
}

fn is_rule(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    RULES.iter().any(|word| reason.contains(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::git::testing::source;

    fn forbidden(reason: &str) -> Error {
        Error::Forbidden { what: "x".to_owned(), reason: reason.to_owned() }
    }

    fn invalid(reason: &str) -> Error {
        Error::Invalid { what: "x".to_owned(), reason: reason.to_owned() }
    }

    fn not_found() -> Error {
        Error::NotFound { what: "branch main (scopes of our token: repo)".to_owned() }
    }

    fn unauthorized() -> Error {
        Error::Unauthorized { what: "x".to_owned(), reason: "HTTP 401".to_owned() }
    }

    #[rstest]
    #[case("github", unauthorized(), ErrorId::GitHubTokenUnauthorized)]
    #[case("gitlab", unauthorized(), ErrorId::GitLabTokenUnauthorized)]
    #[case("gitea", unauthorized(), ErrorId::ForgejoTokenUnauthorized)]
    #[case("github", not_found(), ErrorId::GitHubNoResourceToOperateOn)]
    #[case("gitlab", not_found(), ErrorId::RepositoryDoesNotExist)]
    #[case("gitea", not_found(), ErrorId::ForgejoRepositoryDoesNotExist)]
    #[case("github", forbidden("Resource not accessible"), ErrorId::GitHubNoResourceToOperateOn)]
    #[case("github", forbidden("This installation has been suspended"), ErrorId::GitHubAppSuspended)]
    #[case("gitlab", forbidden("insufficient_scope"), ErrorId::GitLabTokenInsufficientScope)]
    #[case(
        "gitlab",
        forbidden("403 Forbidden - Your account has been blocked"),
        ErrorId::GitLabSecretInvalid
    )]
    #[case("gitea", forbidden("token does not have"), ErrorId::ForgejoTokenInsufficientScope)]
    #[case(
        "github",
        invalid("HTTP 422: Repository rule violations found"),
        ErrorId::RepositoryRulePreventsAction
    )]
    #[case(
        "gitlab",
        forbidden("You are not allowed to push into this branch"),
        ErrorId::RepositoryRulePreventsAction
    )]
    #[case("github", invalid("HTTP 422: Validation Failed"), ErrorId::Unknown)]
    fn has_a_number(#[case] provider: &str, #[case] error: Error, #[case] expected: ErrorId) {
        let source = source(&format!("https://{provider}.com/acme/app"));
        let Failure::Permanent { id, detail } = failure(&source, true, &error, &Clock::system()) else {
            panic!("it is transient");
        };
        assert_eq!(id, expected);
        assert!(detail.starts_with(&format!("{provider}.com/acme/app: ")), "{detail}");
    }

    #[test]
    fn a_limit_is_waited_for_and_not_by_all_until_the_same_moment() {
        let now = "2024-03-01T12:00:00Z".parse().unwrap();
        let until = "2024-03-01T12:10:00Z".parse().unwrap();
        let error = Error::RateLimited { what: "x".to_owned(), until };
        let source = source("https://github.com/acme/app");
        let waits: Vec<Duration> = (0..50)
            .map(|_| match failure(&source, true, &error, &Clock::fixed(now)) {
                Failure::Transient { retry_after: Some(after), .. } => after,
                other => panic!("{other:?}"),
            })
            .collect();
        let least = Duration::from_mins(10);
        assert!(waits.iter().all(|wait| (least..=least + SPREAD).contains(wait)), "{waits:?}");
        assert!(waits.iter().max() > waits.iter().min());
    }
}
