//! Comments on pull requests, at forges where statuses are too short to say why (spec section 4.14; `comment_strategy`, 2.4).

use fleet::names;
use forge::{Forge, Report, Verdict};
use pipelines_as_code_api::pipeline_run::GitProvider;
use pipelines_as_code_api::repository::Settings;

/// `comment_strategy` of a Repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// A comment for each result.
    #[default]
    Each,
    /// One comment for each run in `.tekton/`, which always tells the latest.
    Updated,
    /// None.
    Never,
}

impl Strategy {
    /// What a Repository wants at its forge. A word that is not known is as none.
    pub fn of(settings: Option<&Settings>, provider: GitProvider) -> Self {
        let wanted = settings.and_then(|settings| match provider {
            GitProvider::GitHub | GitProvider::GitHubEnterprise => {
                settings.github.as_ref()?.comment_strategy.as_deref()
            }
            GitProvider::GitLab => settings.gitlab.as_ref()?.comment_strategy.as_deref(),
            GitProvider::Gitea => settings.forgejo.as_ref()?.comment_strategy.as_deref(),
            GitProvider::BitbucketCloud | GitProvider::BitbucketServer => None,
        });
        match wanted {
            Some("disable_all") => Self::Never,
            Some("update") => Self::Updated,
            _ => Self::Each,
        }
    }
}

/// A comment to make, or to make anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Unseen in the text; by it the comment is found again.
    mark: String,
    /// In Markdown, with the mark.
    text: String,
}

impl Comment {
    /// What a report says on the pull request. `None` where nothing is said: the report is not the last word, or nobody
    /// wants comments. `repository` is the uid of the Repository.
    ///
    /// GitHub's check runs say it all by themselves: no comments are made where an App reports.
    pub fn of(report: &Report, strategy: Strategy, repository: &str) -> Option<Self> {
        let is_of_a_run = !report.external_id.is_empty();
        // A turn comes by itself, an approval does not.
        if report.verdict == Verdict::InProgress || report.verdict == Verdict::Queued && is_of_a_run {
            return None;
        }
        let about = match strategy {
            Strategy::Never => return None,
            Strategy::Each if is_of_a_run => &report.external_id,
            Strategy::Each | Strategy::Updated => &report.context,
        };
        let mark = format!("<!-- pipelines-as-code {} -->", names::hash(16, &[repository, about]));
        let text = format!(
            "{mark}\n### {}: {}\n\n{}\n\n{}",
            report.context, report.title, report.summary, report.text
        );
        Some(Self { mark, text })
    }

    /// Makes it at a pull request. One that is there already is replaced, so that a crash in between says nothing twice.
    ///
    /// # Errors
    /// The forge's.
    pub async fn send(
        &self,
        forge: &dyn Forge,
        repository: &forge::Repository,
        pull_request: u64,
    ) -> Result<(), forge::Error> {
        forge::comment_once(forge, repository, pull_request, &self.mark, &self.text).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    use crate::report::{Subject, pending_approval, queued, started};
    use fleet::ObjectKey;

    fn settings(strategy: &str) -> Settings {
        serde_json::from_value(json!({"gitlab": {"comment_strategy": strategy}})).unwrap()
    }

    #[rstest]
    #[case::new_ones("", Strategy::Each)]
    #[case::none("disable_all", Strategy::Never)]
    #[case::one("update", Strategy::Updated)]
    #[case::a_later_word("threads", Strategy::Each)]
    fn reads_what_is_wanted(#[case] word: &str, #[case] strategy: Strategy) {
        let settings = settings(word);
        assert_eq!(Strategy::of(Some(&settings), GitProvider::GitLab), strategy);
        assert_eq!(
            Strategy::of(Some(&settings), GitProvider::GitHub),
            Strategy::Each,
            "said for GitLab only"
        );
    }

    fn comment(strategy: Strategy, run: &str) -> Option<Comment> {
        let run = ObjectKey::new("team", run);
        let subject =
            Subject { application: "Konflux", original: Some("app"), run: Some(&run), ..Subject::default() };
        let end = crate::report::End {
            verdict: Verdict::Success,
            message: "",
            tasks: &[],
            failures: &[],
            annotations: Vec::new(),
            started_at: None,
            completed_at: None,
        };
        Comment::of(&crate::report::finished(&subject, end), strategy, "uid")
    }

    #[test]
    fn each_run_has_its_comment_or_all_have_one() {
        let mark = |strategy, run| comment(strategy, run).unwrap().mark;
        assert_ne!(mark(Strategy::Each, "app-1"), mark(Strategy::Each, "app-2"));
        assert_eq!(mark(Strategy::Updated, "app-1"), mark(Strategy::Updated, "app-2"));
        assert_eq!(comment(Strategy::Never, "app-1"), None);
        let text = comment(Strategy::Each, "app-1").unwrap().text;
        assert!(text.contains("### Konflux / app: Success"), "{text}");
    }

    #[test]
    fn the_beginning_is_no_news_and_a_wish_for_approval_is() {
        let subject = Subject { application: "Konflux", ..Subject::default() };
        assert_eq!(Comment::of(&started(&subject, None), Strategy::Each, "uid"), None);
        let run = ObjectKey::new("team", "app-1");
        let waiting = Subject { run: Some(&run), ..subject.clone() };
        assert_eq!(Comment::of(&queued(&waiting), Strategy::Each, "uid"), None);
        assert!(
            Comment::of(&pending_approval(&subject, "eve", "pull request"), Strategy::Each, "uid").is_some()
        );
    }
}
