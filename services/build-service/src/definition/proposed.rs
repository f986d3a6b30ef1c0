//! The runs that are proposed to a repository. The same input gives the same bytes, or "up to date" would never hold.

use build_service_api::build_run::{params, workspaces};
use build_service_api::{annotations, names};
use pipelines_as_code_api::annotations::read;
use serde_json::{Value, json};

use super::condition::Condition;
use super::{Built, TARGET_BRANCH, annotation_map, git_auth, workspace_volume};
use crate::pipeline::bundle::Resolved;

/// How many ended runs of one name Pipelines-as-Code keeps.
const KEPT_RUNS: &str = "3";

/// What starts a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Push,
    PullRequest,
}

impl Event {
    pub(crate) const ALL: [Self; 2] = [Self::Push, Self::PullRequest];

    /// Path of the run's file, as of the Component.
    pub(crate) fn path(self, component: &str) -> String {
        match self {
            Self::Push => format!(".tekton/{component}-push.yaml"),
            Self::PullRequest => format!(".tekton/{component}-pull-request.yaml"),
        }
    }

    /// Name of the run.
    pub(crate) fn run(self, component: &str) -> String {
        match self {
            Self::Push => format!("{component}-on-push"),
            Self::PullRequest => format!("{component}-on-pull-request"),
        }
    }
}

/// What the files of a Component depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proposed<'a> {
    pub(crate) built: Built<'a>,
    /// That is built, or that pull requests lead to.
    pub(crate) branch: &'a str,
    /// Shows the commit to a person; with the variable of Pipelines-as-Code in place of the commit.
    pub(crate) link: &'a str,
    /// Path of the Dockerfile, if it lies outside the context.
    pub(crate) dockerfile_outside: Option<&'a str>,
    pub(crate) pipeline: &'a Resolved,
    /// Params of the pipeline that are copied with its own defaults.
    pub(crate) copied: &'a [String],
    /// How long images of pull requests are kept.
    pub(crate) expiration: &'a str,
}

impl Proposed<'_> {
    /// Paths and contents of the files.
    pub(crate) fn files(&self) -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
        let component = self.built.component;
        Event::ALL
            .into_iter()
            .map(|event| Ok((event.path(component), serde_saphyr::to_string(&self.run(event))?)))
            .collect()
    }

    fn run(&self, event: Event) -> Value {
        let component = self.built.component;
        let file = event.path(component);
        let condition = Condition {
            event,
            branch: self.branch,
            context: self.built.context,
            file: &file,
            dockerfile_outside: self.dockerfile_outside,
        };
        let is_pull_request = event == Event::PullRequest;
        let cel = condition.cel();
        let mut annotations = annotation_map([
            (annotations::COMMIT_SHA, "{{revision}}"),
            (TARGET_BRANCH, "{{target_branch}}"),
            (annotations::REPO, self.link),
            (read::ON_CEL_EXPRESSION, &cel),
            (read::MAX_KEEP_RUNS, KEPT_RUNS),
            (read::CANCEL_IN_PROGRESS, if is_pull_request { "true" } else { "false" }),
        ]);
        if is_pull_request {
            annotations
                .extend(annotation_map([(annotations::PULL_REQUEST_NUMBER, "{{pull_request_number}}")]));
        }
        let mut spec = json!({
            "params": self.params(event),
            "pipelineSpec": self.pipeline.spec,
            "workspaces": self.workspaces(),
        });
        if let Some(account) = self.built.account {
            spec["taskRunTemplate"] = json!({"serviceAccountName": account});
        }
        json!({
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": {
                "name": event.run(component),
                "namespace": self.built.namespace,
                "labels": self.built.labels(),
                "annotations": annotations,
            },
            "spec": spec,
        })
    }

    /// Only what the pipeline declares, but for what the user adds.
    fn params(&self, event: Event) -> Value {
        let declared = &self.pipeline.known.params;
        let image = self.built.image;
        let mut own =
            vec![(params::GIT_URL, json!("{{source_url}}")), (params::REVISION, json!("{{revision}}"))];
        match event {
            Event::Push => own.push((params::OUTPUT_IMAGE, json!(format!("{image}:{{{{revision}}}}")))),
            Event::PullRequest => {
                own.push((params::OUTPUT_IMAGE, json!(format!("{image}:on-pr-{{{{revision}}}}"))));
                own.push((params::IMAGE_EXPIRES_AFTER, json!(self.expiration)));
            }
        }
        own.extend(self.built.source_params());
        let copied = self.copied.iter().filter_map(|name| {
            let param = declared.iter().find(|param| param.name == *name)?;
            Some((name.clone(), json!(param.default.as_ref()?)))
        });
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let is_declared = |name: &str| declared.iter().any(|param| param.name == name);
        // What the service itself sets wins over what is copied.
        self.built.params_of(copied.chain(own).filter(|(name, _)| is_declared(name)))
    }

    /// Of those that the pipeline declares, the ones that are known here.
    fn workspaces(&self) -> Value {
        let bind = |name: &str| match name {
            workspaces::WORKSPACE => Some(workspace_volume()),
            workspaces::GIT_AUTH => Some(git_auth("{{ git_auth_secret }}")),
            _ => None,
        };
        self.pipeline.known.workspaces.iter().filter_map(|workspace| bind(&workspace.name)).collect()
    }
}

/// The account of a Component's own, where each has one.
pub(crate) fn component_account(component: &str) -> String {
    fleet::names::fit(253, &format!("{}{component}", names::COMPONENT_SERVICE_ACCOUNT_PREFIX), "")
}

#[cfg(test)]
mod tests;
