//! When Pipelines-as-Code starts a run: CEL over the event (section 4.5).

use super::proposed::Event;

/// What the condition of a run depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    pub(super) event: Event,
    pub(super) branch: &'a str,
    /// As the user wrote it.
    pub(super) context: &'a str,
    /// Path of the run's own file.
    pub(super) file: &'a str,
    /// Path of the Dockerfile, if it lies outside the context.
    pub(super) dockerfile_outside: Option<&'a str>,
}

impl Condition<'_> {
    pub(super) fn cel(&self) -> String {
        let event = match self.event {
            Event::Push => "push",
            Event::PullRequest => "pull_request",
        };
        let mut cel = format!("event == \"{event}\" && target_branch == {}", quoted(self.branch));
        let context = self.context.trim_matches('/');
        let context = context.strip_prefix("./").unwrap_or(context);
        if self.event == Event::PullRequest && !matches!(context, "" | ".") {
            let changed = |path: &str| format!("{}.pathChanged()", quoted(path));
            let mut paths = vec![changed(&format!("{context}/***")), changed(self.file)];
            paths.extend(self.dockerfile_outside.map(changed));
            cel += " && ( ";
            cel += &paths.join(" || ");
            cel += " )";
        }
        cel
    }
}

/// A string of CEL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ALL: &str = "event == \"pull_request\" && target_branch == \"main\"";

    #[rstest]
    #[case::whole_repository("", None, ALL.to_owned())]
    #[case::root("/", None, ALL.to_owned())]
    #[case::dot("./", None, ALL.to_owned())]
    #[case::also_dot(".", Some("Dockerfile"), ALL.to_owned())]
    #[case::part("backend", None, format!(
        "{ALL} && ( \"backend/***\".pathChanged() || \".tekton/a-pull-request.yaml\".pathChanged() )"
    ))]
    #[case::part_with_slashes("./backend/", None, format!(
        "{ALL} && ( \"backend/***\".pathChanged() || \".tekton/a-pull-request.yaml\".pathChanged() )"
    ))]
    #[case::dockerfile_outside("backend", Some("docker/Dockerfile"), format!(
        "{ALL} && ( \"backend/***\".pathChanged() || \".tekton/a-pull-request.yaml\".pathChanged() || \
         \"docker/Dockerfile\".pathChanged() )"
    ))]
    fn of_a_pull_request(#[case] context: &str, #[case] outside: Option<&str>, #[case] expected: String) {
        let condition = Condition {
            event: Event::PullRequest,
            branch: "main",
            context,
            file: ".tekton/a-pull-request.yaml",
            dockerfile_outside: outside,
        };
        assert_eq!(condition.cel(), expected);
    }

    #[test]
    fn of_a_push_there_is_no_filter_of_paths() {
        let condition = Condition {
            event: Event::Push,
            branch: "a\"b",
            context: "backend",
            file: ".tekton/a-push.yaml",
            dockerfile_outside: Some("Dockerfile"),
        };
        assert_eq!(condition.cel(), "event == \"push\" && target_branch == \"a\\\"b\"");
    }
}
