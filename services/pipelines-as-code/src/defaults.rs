//! What a Repository takes from the one that holds for all (spec section 2.4).
//!
//! Secrets are named only, and are always those of the Repository's own namespace: no credential of the platform comes into the
//! hands of a tenant by this way.

use fleet::ObjectKey;
use pipelines_as_code_api::repository::{CommentSettings, ForgejoSettings, GitProviderSettings, Settings};
use pipelines_as_code_api::{Repository, RepositorySpec};

/// Name of the Repository that holds for all, in the service's namespace.
pub const NAME: &str = "pipelines-as-code";

/// Where the Repository lies that holds for all. `namespace` is the service's own.
pub fn key(namespace: &str) -> ObjectKey {
    ObjectKey::new(namespace, NAME)
}

/// A Repository with what `global` says where it says nothing itself.
pub fn merged(repository: &Repository, global: Option<&Repository>) -> Repository {
    let mut merged = repository.clone();
    if let Some(global) = global {
        merged.spec.spec = merged_spec(&repository.spec.spec, &global.spec.spec);
    }
    merged
}

fn merged_spec(own: &RepositorySpec, global: &RepositorySpec) -> RepositorySpec {
    RepositorySpec {
        url: own.url.clone(),
        type_: own.type_.clone(),
        concurrency_limit: own.concurrency_limit.or(global.concurrency_limit),
        // A Repository without this section is the GitHub App's: that must not change.
        git_provider: own.git_provider.as_ref().map(|own| provider(own, global.git_provider.as_ref())),
        incoming: if own.incoming.is_empty() { global.incoming.clone() } else { own.incoming.clone() },
        params: if own.params.is_empty() { global.params.clone() } else { own.params.clone() },
        settings: match (&own.settings, &global.settings) {
            (Some(own), Some(global)) => Some(settings(own, global)),
            (own, global) => own.clone().or_else(|| global.clone()),
        },
    }
}

/// Of another kind of forge nothing can be taken.
fn provider(own: &GitProviderSettings, global: Option<&GitProviderSettings>) -> GitProviderSettings {
    let Some(global) = global.filter(|global| global.type_ == own.type_) else { return own.clone() };
    GitProviderSettings {
        type_: own.type_.clone(),
        url: own.url.clone().or_else(|| global.url.clone()),
        user: own.user.clone().or_else(|| global.user.clone()),
        secret: own.secret.clone().or_else(|| global.secret.clone()),
        webhook_secret: own.webhook_secret.clone().or_else(|| global.webhook_secret.clone()),
    }
}

fn settings(own: &Settings, global: &Settings) -> Settings {
    let repositories = if own.github_app_token_scope_repos.is_empty() { global } else { own };
    Settings {
        github_app_token_scope_repos: repositories.github_app_token_scope_repos.clone(),
        pipelinerun_provenance: own
            .pipelinerun_provenance
            .clone()
            .or_else(|| global.pipelinerun_provenance.clone()),
        policy: own.policy.clone().or_else(|| global.policy.clone()),
        github: comments(own.github.as_ref(), global.github.as_ref()),
        gitlab: comments(own.gitlab.as_ref(), global.gitlab.as_ref()),
        forgejo: forgejo(own.forgejo.as_ref(), global.forgejo.as_ref()),
    }
}

fn comments(own: Option<&CommentSettings>, global: Option<&CommentSettings>) -> Option<CommentSettings> {
    let (Some(own), Some(global)) = (own, global) else { return own.or(global).cloned() };
    let comment_strategy = own.comment_strategy.clone().or_else(|| global.comment_strategy.clone());
    Some(CommentSettings { comment_strategy })
}

fn forgejo(own: Option<&ForgejoSettings>, global: Option<&ForgejoSettings>) -> Option<ForgejoSettings> {
    let (Some(own), Some(global)) = (own, global) else { return own.or(global).cloned() };
    Some(ForgejoSettings {
        comment_strategy: own.comment_strategy.clone().or_else(|| global.comment_strategy.clone()),
        user_agent: own.user_agent.clone().or_else(|| global.user_agent.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn spec(value: &Value) -> RepositorySpec {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[rstest]
    #[case::limit(&json!({}), &json!({"concurrency_limit": 2}), &json!({"concurrency_limit": 2}))]
    #[case::own_limit(&json!({"concurrency_limit": 1}), &json!({"concurrency_limit": 2}), &json!({"concurrency_limit": 1}))]
    #[case::url_is_never_taken(&json!({}), &json!({"url": "https://git.test/a"}), &json!({}))]
    #[case::the_app_stays_the_app(&json!({}), &json!({"git_provider": {"type": "gitlab"}}), &json!({}))]
    #[case::same_forge(
        &json!({"git_provider": {"type": "gitlab", "secret": {"name": "own"}}}),
        &json!({"git_provider": {"type": "gitlab", "url": "https://git.test", "secret": {"name": "all"}, "user": "bot"}}),
        &json!({"git_provider": {"type": "gitlab", "url": "https://git.test", "secret": {"name": "own"}, "user": "bot"}})
    )]
    #[case::another_forge(
        &json!({"git_provider": {"type": "gitea"}}),
        &json!({"git_provider": {"type": "gitlab", "url": "https://git.test"}}),
        &json!({"git_provider": {"type": "gitea"}})
    )]
    #[case::settings_one_by_one(
        &json!({"settings": {"gitlab": {"comment_strategy": ""}, "policy": {"ok_to_test": []}}}),
        &json!({"settings": {
            "gitlab": {"comment_strategy": "update"}, "github": {"comment_strategy": "disable_all"},
            "policy": {"pull_request": ["all"]}, "pipelinerun_provenance": "default_branch",
        }}),
        &json!({"settings": {
            "gitlab": {"comment_strategy": ""}, "github": {"comment_strategy": "disable_all"},
            "policy": {"ok_to_test": []}, "pipelinerun_provenance": "default_branch",
        }})
    )]
    #[case::lists_as_a_whole(
        &json!({"params": [{"name": "a", "value": "1"}]}),
        &json!({"params": [{"name": "b", "value": "2"}], "incoming": [{"type": "webhook-url", "targets": ["main"]}]}),
        &json!({"params": [{"name": "a", "value": "1"}], "incoming": [{"type": "webhook-url", "targets": ["main"]}]})
    )]
    fn takes_what_is_not_said(#[case] own: &Value, #[case] global: &Value, #[case] merged: &Value) {
        assert_eq!(merged_spec(&spec(own), &spec(global)), spec(merged));
    }
}
