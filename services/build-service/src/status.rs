//! The status annotation: read, and changed by what became of a request (section 4.3).

use application_service_api::Component;
use build_service_api::build_status::{BuildError, PacState, PacStatus, SimpleBuildStatus};
use build_service_api::{BuildStatus, ErrorId, annotations};
use jiff::Timestamp;

use crate::failure::told;

/// What a request led to, as far as the status tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A build without Pipelines-as-Code was started.
    Built,
    /// It was not, for good.
    NotBuilt(ErrorId, String),
    /// Pipelines-as-Code is set up. With the pull request that proposes the pipelines, unless they are there already, and what
    /// the user should know about it.
    Enabled { url: Option<String>, note: Option<String> },
    /// It is no longer. With the pull request that removes the pipelines, unless there were none.
    Disabled { url: Option<String> },
    /// One of the two failed for good.
    PacFailed(ErrorId, String),
    /// Pipelines-as-Code was asked for a build.
    Triggered,
    /// It was not asked, for good: what is set up stays as it is.
    NotTriggered(ErrorId, String),
    /// There was nothing to do, for this reason.
    Refused(String),
}

/// The status of a Component. What cannot be read counts as none.
pub(crate) fn of(component: &Component) -> BuildStatus {
    let text = annotations::STATUS.of(&component.metadata.annotations).unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether Pipelines-as-Code is set up for a Component.
pub(crate) fn is_enabled(component: &Component) -> bool {
    of(component).pac.is_some_and(|pac| pac.state == Some(PacState::Enabled))
}

/// As it stands in the annotation.
pub(crate) fn text(status: &BuildStatus) -> String {
    serde_json::to_string(status).unwrap_or_default()
}

/// `status` after a request. The section of the other kind of build stays as it is.
pub(crate) fn after(mut status: BuildStatus, outcome: &Outcome, now: Timestamp) -> BuildStatus {
    let mut message = BuildStatus::DONE.to_owned();
    match outcome {
        Outcome::Built => {
            status.simple = Some(SimpleBuildStatus {
                build_start_time: Some(rfc1123(now)),
                error: BuildError::default(),
            });
        }
        Outcome::NotBuilt(id, detail) => {
            let before = status.simple.and_then(|simple| simple.build_start_time);
            status.simple = Some(SimpleBuildStatus { build_start_time: before, error: told(*id, detail) });
        }
        Outcome::Enabled { url, note } => {
            status.pac = Some(PacStatus {
                state: Some(PacState::Enabled),
                merge_url: url.clone(),
                configuration_time: Some(rfc1123(now)),
                error: BuildError::default(),
            });
            message.extend(note.iter().map(|note| format!(": {note}")));
        }
        Outcome::Disabled { url } => {
            let state = Some(PacState::Disabled);
            status.pac = Some(PacStatus { state, merge_url: url.clone(), ..PacStatus::default() });
        }
        Outcome::PacFailed(id, detail) => {
            let state = Some(PacState::Error);
            status.pac = Some(PacStatus { state, error: told(*id, detail), ..PacStatus::default() });
        }
        Outcome::Triggered => {
            if let Some(pac) = &mut status.pac {
                pac.error = BuildError::default();
            }
        }
        Outcome::NotTriggered(id, detail) => {
            status.pac.get_or_insert_default().error = told(*id, detail);
        }
        Outcome::Refused(reason) => message.clone_from(reason),
    }
    status.message = Some(message);
    status
}

/// `Mon, 29 Apr 2024 10:00:00 UTC`
fn rfc1123(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const BEFORE: &str = "Sun, 28 Apr 2024 10:00:00 UTC";
    const NOW: &str = "Mon, 29 Apr 2024 10:00:00 UTC";

    fn before() -> Value {
        json!({
            "simple": {"build-start-time": BEFORE},
            "pac": {"state": "enabled", "merge-url": "https://git/1", "configuration-time": BEFORE},
            "message": "x",
        })
    }

    fn with(changes: &Value) -> Value {
        let mut status = before();
        json_patch::merge(&mut status, changes);
        status
    }

    #[rstest]
    #[case::built(Outcome::Built, with(&json!({"simple": {"build-start-time": NOW}, "message": "done"})))]
    #[case::not_built(
        Outcome::NotBuilt(ErrorId::ComponentGitSecretMissing, "s".into()),
        with(&json!({
            "simple": {
                "error-id": 201, "error-message": "201: Secret with git credential not found", "error-detail": "s",
            },
            "message": "done",
        }))
    )]
    #[case::enabled(
        Outcome::Enabled { url: Some("https://git/2".into()), note: None },
        with(&json!({"pac": {"merge-url": "https://git/2", "configuration-time": NOW}, "message": "done"}))
    )]
    #[case::up_to_date(
        Outcome::Enabled { url: None, note: Some("n".into()) },
        with(&json!({"pac": {"merge-url": null, "configuration-time": NOW}, "message": "done: n"}))
    )]
    #[case::disabled(
        Outcome::Disabled { url: None },
        with(&json!({
            "pac": {"state": "disabled", "merge-url": null, "configuration-time": null}, "message": "done",
        }))
    )]
    #[case::failed(
        Outcome::PacFailed(ErrorId::GitHubAppNotInstalled, String::new()),
        with(&json!({
            "pac": {
                "state": "error", "merge-url": null, "configuration-time": null, "error-id": 70,
                "error-message": "70: GitHub Application is not installed in user repository",
            },
            "message": "done",
        }))
    )]
    #[case::triggered(Outcome::Triggered, with(&json!({"message": "done"})))]
    #[case::not_triggered(
        Outcome::NotTriggered(ErrorId::Unknown, "no Repository".into()),
        with(&json!({
            "pac": {"error-id": 1, "error-message": "1: unknown error", "error-detail": "no Repository"},
            "message": "done",
        }))
    )]
    #[case::refused(Outcome::Refused("unexpected build request: x".into()), with(&json!({
        "message": "unexpected build request: x",
    })))]
    fn changes_the_section_that_it_is_about(#[case] outcome: Outcome, #[case] expected: Value) {
        let status = serde_json::from_value(before()).unwrap();
        let after = after(status, &outcome, "2024-04-29T10:00:00Z".parse().unwrap());
        assert_eq!(serde_json::to_value(&after).unwrap(), expected);
        assert_eq!(text(&after), serde_json::to_string(&after).unwrap());
    }

    #[test]
    fn garbage_counts_as_none() {
        for text in ["", "[]", "{\"pac\": 1}", "x"] {
            let component: Component = serde_json::from_value(json!({
                "metadata": {"annotations": {"build.appstudio.openshift.io/status": text}}, "spec": {},
            }))
            .unwrap();
            assert_eq!(of(&component), BuildStatus::default(), "{text}");
        }
    }
}
