//! The run that builds a Component once, without Pipelines-as-Code.

use application_service_api::Component;
use build_service_api::annotations;
use build_service_api::build_run::params;
use fleet::names::{self, LABEL_VALUE};
use fleet_api::keys::CAUSE;
use kube::{Resource as _, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

use super::{Built, TARGET_BRANCH, annotation_map, git_auth, workspace_volume};
use crate::claim::Claim;
use crate::pipeline::Selected;

/// Characters of chance at the end of a run's name, and how many more where the name is taken.
const HASH: usize = 5;

/// What the run depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simple<'a> {
    pub(crate) component: &'a Component,
    pub(crate) built: Built<'a>,
    pub(crate) claim: &'a Claim,
    pub(crate) selected: &'a Selected,
    pub(crate) url: &'a str,
    /// As the user wrote it.
    pub(crate) revision: Option<&'a str>,
    /// The commit, if it is known.
    pub(crate) commit: Option<&'a str>,
    /// Shows the commit to a person.
    pub(crate) link: Option<&'a str>,
    /// Secret with credentials for the repository, if it is private.
    pub(crate) git_secret: Option<&'a str>,
}

impl Simple<'_> {
    /// Name of the run, and the one to take where the first is somebody else's.
    pub(crate) fn names(&self) -> (String, String) {
        let uid = self.component.uid().unwrap_or_default();
        let name = |length| names::fit(LABEL_VALUE, self.built.component, &self.claim.suffix(&uid, length));
        (name(HASH), name(2 * HASH))
    }

    pub(crate) fn run(&self) -> Result<PipelineRun, serde_json::Error> {
        let mut annotations = annotation_map([
            (annotations::PIPELINE_NAME, self.selected.name.as_str()),
            (annotations::BUNDLE, &self.selected.bundle),
            (CAUSE, &self.claim.to_string()),
        ]);
        let optional = [
            (TARGET_BRANCH, self.revision),
            (annotations::COMMIT_SHA, self.commit),
            (annotations::REPO, self.link),
        ];
        annotations
            .extend(annotation_map(optional.into_iter().filter_map(|(key, value)| Some((key, value?)))));
        let mut workspaces = vec![workspace_volume()];
        workspaces.extend(self.git_secret.map(git_auth));
        let mut spec = json!({
            "pipelineRef": {"resolver": "bundles", "params": [
                {"name": "name", "value": self.selected.name},
                {"name": "bundle", "value": self.selected.bundle},
                {"name": "kind", "value": "pipeline"},
            ]},
            "params": self.params(),
            "workspaces": workspaces,
        });
        if let Some(account) = self.built.account {
            spec["taskRunTemplate"] = json!({"serviceAccountName": account});
        }
        serde_json::from_value(json!({
            "apiVersion": PipelineRun::api_version(&()),
            "kind": PipelineRun::kind(&()),
            "metadata": {
                "name": self.names().0,
                "namespace": self.built.namespace,
                "labels": self.built.labels(),
                "annotations": annotations,
                "ownerReferences": [crate::owner::of(self.component)],
            },
            "spec": spec,
        }))
    }

    fn params(&self) -> Value {
        let image = format!("{}:{}", self.built.image, self.claim.tag());
        let revision = self.commit.or(self.revision);
        let skips = annotations::SKIP_INITIAL_CHECKS
            .of(&self.component.metadata.annotations)
            .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
        let mut own = vec![(params::GIT_URL, json!(self.url)), (params::OUTPUT_IMAGE, json!(image))];
        own.extend(revision.map(|revision| (params::REVISION, json!(revision))));
        own.extend(skips.then(|| (params::SKIP_CHECKS, json!("true"))));
        own.extend(self.built.source_params());
        self.built.params_of(own.into_iter().map(|(name, value)| (name.to_owned(), value)))
    }
}

#[cfg(test)]
mod tests {
    use build_service_api::build_pipeline_selector::PipelineParam;

    use super::*;
    use crate::devfile::Dockerfile;

    fn component(annotations: &Value) -> Component {
        serde_json::from_value(json!({
            "metadata": {"name": "api", "namespace": "team", "uid": "u1", "annotations": annotations}, "spec": {},
        }))
        .unwrap()
    }

    fn run(component: &Component, dockerfile: Option<&Dockerfile>, git_secret: Option<&str>) -> PipelineRun {
        let claim = "1714384800-0123456789abcdef".parse().unwrap();
        let selected = Selected {
            name: "docker-build".into(),
            bundle: "images.example/p:1".into(),
            params: vec![PipelineParam { name: "path-context".into(), value: "mine".into() }],
            copied: Vec::new(),
        };
        let simple = Simple {
            component,
            built: Built {
                component: "api",
                application: "shop",
                namespace: "team",
                image: "images.example/shop/api",
                context: "",
                dockerfile,
                params: &selected.params,
                account: None,
            },
            claim: &claim,
            selected: &selected,
            url: "https://git.example/acme/app",
            revision: Some("main"),
            commit: Some("8cc5aef17d528ca5ab893dd430004fec8bf9beaa"),
            link: Some("https://git.example/acme/app?rev=8cc5aef"),
            git_secret,
        };
        simple.run().unwrap()
    }

    #[test]
    fn a_run_of_a_private_repository() {
        let dockerfile = Dockerfile { uri: "Dockerfile".into(), build_context: ".".into() };
        let run = run(&component(&json!({"skip-initial-checks": "True"})), Some(&dockerfile), Some("git"));
        insta::assert_snapshot!(serde_saphyr::to_string(&run).unwrap());
    }

    #[test]
    fn what_nobody_says_is_left_out() {
        let run = run(&component(&json!({"skip-initial-checks": "no"})), None, None);
        let names: Vec<_> = run.spec.params.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names, ["git-url", "output-image", "path-context", "revision"]);
        assert_eq!(run.spec.workspaces.len(), 1);
    }
}
