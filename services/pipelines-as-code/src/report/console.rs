//! Where people see runs: a console of the platform's own, or Tekton's dashboard (spec section 7).

use std::collections::BTreeMap;

use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_engine_api::{PipelineRun, TaskRun};

use crate::settings::Settings;

/// URLs of one Repository's runs.
#[derive(Clone, Debug)]
pub struct Console<'a> {
    settings: &'a Settings,
    /// Variables of the Repository, by name.
    params: BTreeMap<&'a str, &'a str>,
}

impl<'a> Console<'a> {
    /// Of the Repository's variables those count that are the same for each run, and no secret.
    pub fn new(settings: &'a Settings, repository: Option<&'a Repository>) -> Self {
        let params = repository.into_iter().flat_map(|repository| &repository.spec.spec.params).rev();
        let literal = params.filter(|param| param.filter.is_none());
        let params = literal.filter_map(|param| Some((param.name.as_str(), param.value.as_deref()?)));
        Self { settings, params: params.collect() }
    }

    /// Of a run. `None` where there is no console: what is shown then is the forge's page of the commit.
    pub fn run(&self, namespace: &str, name: &str) -> Option<String> {
        let values = [("namespace", namespace), ("pr", name)];
        self.filled(&self.settings.console.pr_details, &values).or_else(|| {
            let dashboard = self.dashboard()?;
            Some(format!("{dashboard}/#/namespaces/{namespace}/pipelineruns/{name}"))
        })
    }

    /// Of a task's log.
    pub fn task(&self, namespace: &str, run: &str, task: &str, task_run: &TaskRun) -> Option<String> {
        let status = task_run.status.as_ref();
        let failed = status.and_then(|status| {
            let has_failed = |code: Option<i32>| code.is_some_and(|code| code != 0);
            status
                .steps
                .iter()
                .find(|step| has_failed(step.terminated.as_ref().map(|terminated| terminated.exit_code)))
        });
        let values = [
            ("namespace", namespace),
            ("pr", run),
            ("task", task),
            ("pod", status.map(|status| status.pod_name.as_str()).unwrap_or_default()),
            ("firstFailedStep", failed.map(|step| step.name.as_str()).unwrap_or_default()),
        ];
        self.filled(&self.settings.console.pr_tasklog, &values).or_else(|| {
            let dashboard = self.dashboard()?;
            Some(format!("{dashboard}/#/namespaces/{namespace}/pipelineruns/{run}?pipelineTask={task}"))
        })
    }

    /// A template with its placeholders filled. One that nobody knows a value for leads to the console's start.
    fn filled(&self, template: &str, values: &[(&str, &str)]) -> Option<String> {
        let console = &self.settings.console;
        let start = Some(console.url.as_str()).filter(|url| !url.is_empty());
        if template.is_empty() {
            return start.map(str::to_owned);
        }
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((key, after)) = after.split_once("}}") else { break };
            let key = key.trim();
            let ours = values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            let Some(value) = ours.or_else(|| self.params.get(key).copied()) else {
                return start.map(str::to_owned);
            };
            filled.push_str(before);
            filled.extend(value.bytes().map(encoded));
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn dashboard(&self) -> Option<&str> {
        let url = self.settings.dashboard_url.as_deref()?.trim_end_matches('/');
        Some(url).filter(|url| !url.is_empty())
    }
}

/// A byte of a value: it cannot lead to another place than the template says (RFC 3986, section 2.3).
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Where a person sees a run that exists: as it was told when the run was made, else as the console has it now, else the
/// commit.
pub fn of_run(console: &Console<'_>, run: &PipelineRun) -> Option<String> {
    let annotation = |key: fleet_api::AnnotationKey| {
        key.of(&run.metadata.annotations).filter(|url| !url.is_empty()).map(str::to_owned)
    };
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    annotation(annotations::LOG_URL)
        .or_else(|| console.run(namespace, name))
        .or_else(|| annotation(annotations::SHA_URL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    use crate::settings;

    fn settings(pr_details: &str) -> Settings {
        let console = settings::Console {
            name: "Konflux".to_owned(),
            url: "https://console.test".to_owned(),
            pr_details: pr_details.to_owned(),
            pr_tasklog:
                "https://console.test/{{ namespace }}/{{pr}}/logs/{{ task }}/{{ pod }}#{{ firstFailedStep }}"
                    .to_owned(),
            ..settings::Console::default()
        };
        Settings { console, ..Settings::default() }
    }

    fn repository() -> Repository {
        serde_json::from_value(json!({
            "metadata": {"name": "app", "namespace": "team"},
            "spec": {"params": [
                {"name": "workspace", "value": "blue/team"},
                {"name": "workspace", "value": "second"},
                {"name": "token", "secret_ref": {"name": "s"}},
                {"name": "sometimes", "value": "x", "filter": "false"},
            ]},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::all("https://c/{{ workspace }}/{{namespace}}/{{ pr }}", "https://c/blue%2Fteam/team/app-1")]
    #[case::none("https://c/runs", "https://c/runs")]
    #[case::unknown("https://c/{{ cluster }}/{{ pr }}", "https://console.test")]
    #[case::secret("https://c/{{ token }}", "https://console.test")]
    #[case::only_sometimes("https://c/{{ sometimes }}", "https://console.test")]
    #[case::not_closed("https://c/{{ pr", "https://c/{{ pr")]
    #[case::no_template("", "https://console.test")]
    fn fills_templates(#[case] template: &str, #[case] url: &str) {
        let (settings, repository) = (settings(template), repository());
        let console = Console::new(&settings, Some(&repository));
        assert_eq!(console.run("team", "app-1").as_deref(), Some(url));
    }

    #[test]
    fn a_task_leads_to_its_first_failed_step() {
        let task_run = serde_json::from_value(json!({
            "metadata": {"name": "app-1-build"},
            "status": {"podName": "app-1-build-pod", "steps": [
                {"name": "clone", "terminated": {"exitCode": 0}},
                {"name": "make", "terminated": {"exitCode": 2}},
                {"name": "push", "terminated": {"exitCode": 1}},
            ]},
            "spec": {},
        }))
        .unwrap();
        let settings = settings("");
        let console = Console::new(&settings, None);
        assert_eq!(
            console.task("team", "app-1", "build", &task_run).as_deref(),
            Some("https://console.test/team/app-1/logs/build/app-1-build-pod#make")
        );
    }

    #[test]
    fn the_dashboard_is_the_second_choice_and_the_commit_the_last() {
        let mut settings = Settings::default();
        let run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "app-1", "namespace": "team", "annotations": {
                "pipelinesascode.tekton.dev/sha-url": "https://git.test/commit/1",
            }},
            "spec": {},
        }))
        .unwrap();
        let url = |settings: &Settings, run: &PipelineRun| of_run(&Console::new(settings, None), run);
        assert_eq!(url(&settings, &run).as_deref(), Some("https://git.test/commit/1"));
        settings.dashboard_url = Some("https://tekton.test/".to_owned());
        assert_eq!(
            url(&settings, &run).as_deref(),
            Some("https://tekton.test/#/namespaces/team/pipelineruns/app-1")
        );
    }
}
