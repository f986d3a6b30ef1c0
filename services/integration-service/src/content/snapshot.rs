//! A Snapshot as it is created.

use std::collections::BTreeMap;

use application_service_api::snapshot::{SnapshotComponent, SnapshotSpec};
use application_service_api::{Application, Component, Snapshot};
use fleet::names::{LABEL_VALUE, fit, hash};
use fleet::{TraceContext, Write};
use fleet_api::keys;
use integration_service_api::labels::{self, snapshot_type};
use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use pipelines_engine_api::PipelineRun;

use super::content_hash;

/// Length of the hash in a name, and in the one that is taken when that belongs to something else (contracts.md, section d).
const HASH: usize = 10;
const LONGER_HASH: usize = 15;

/// What a Snapshot is made for, which gives it its name: a second attempt finds what the first one made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// To test what a run built.
    Build {
        /// Name of the Component that was built.
        component: &'a str,
        run: &'a PipelineRun,
        finished: Timestamp,
    },
    /// To test a build once more, because the candidate list has moved since.
    Composite {
        /// Name of the Component that was built.
        component: &'a str,
    },
    /// To test what is left when a Component goes.
    Removal { component: &'a Component },
    /// To test pull requests together that belong together.
    Group {
        /// What the label [`PR_GROUP_SHA`](labels::PR_GROUP_SHA) says.
        hash: &'a str,
    },
}

/// A Snapshot that is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewSnapshot<'a> {
    pub(crate) application: &'a Application,
    pub(crate) purpose: Purpose<'a>,
    pub(crate) components: Vec<SnapshotComponent>,
    /// Beside those that its purpose gives it.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) trace: Option<TraceContext>,
}

impl NewSnapshot<'_> {
    /// The object, under the first of its [names](Self::names).
    pub(crate) fn build(&self) -> Snapshot {
        let [name, _] = self.names();
        let content = content_hash(&self.components);
        let mut labels = self.labels.clone();
        let application = fit(LABEL_VALUE, &self.application.name_any(), "");
        labels.insert(keys::APPLICATION.into(), application);
        labels.insert(labels::CONTENT_HASH.into(), content);
        labels.insert(labels::TYPE.into(), self.type_().to_owned());
        match self.purpose {
            Purpose::Build { component, run, finished } => {
                labels.insert(keys::COMPONENT.into(), component.to_owned());
                labels.insert(labels::BUILD_PIPELINE_RUN.into(), label_of_run(&run.name_any()));
                let finished = finished.as_second().to_string();
                labels.insert(labels::PIPELINE_RUN_FINISH_TIME.into(), finished);
            }
            Purpose::Composite { component } => {
                labels.insert(keys::COMPONENT.into(), component.to_owned());
            }
            Purpose::Group { hash } => {
                labels.insert(labels::PR_GROUP_SHA.into(), hash.to_owned());
            }
            Purpose::Removal { .. } => {}
        }
        let mut metadata = ObjectMeta {
            name: Some(name),
            namespace: self.application.namespace(),
            labels: Some(labels),
            annotations: Some(self.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            owner_references: self.application.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        TraceContext::annotate(self.trace, &mut metadata);
        let spec = SnapshotSpec {
            application: self.application.name_any(),
            components: self.components.clone(),
            ..SnapshotSpec::default()
        };
        Snapshot { metadata, spec, status: None }
    }

    /// Creates it, under the second of its [names](Self::names) if something else has the first.
    pub(crate) fn write(&self) -> Write {
        let [_, alternative] = self.names();
        Write::create(&self.build()).or_named(alternative)
    }

    /// The name, and the one to take if that belongs to something else.
    pub(crate) fn names(&self) -> [String; 2] {
        let uid = |object: &ObjectMeta| object.uid.clone().unwrap_or_default();
        let application = uid(&self.application.metadata);
        let cause = match self.purpose {
            Purpose::Build { run, .. } => vec![uid(&run.metadata)],
            Purpose::Composite { .. } => vec![application, content_hash(&self.components)],
            Purpose::Removal { component } => vec![uid(&component.metadata)],
            Purpose::Group { hash } => vec![application, hash.to_owned(), content_hash(&self.components)],
        };
        let cause: Vec<&str> = cause.iter().map(String::as_str).collect();
        [HASH, LONGER_HASH].map(|length| {
            fit(LABEL_VALUE, &self.application.name_any(), &format!("-{}", hash(length, &cause)))
        })
    }

    fn type_(&self) -> &'static str {
        match self.purpose {
            Purpose::Build { .. } => snapshot_type::COMPONENT,
            Purpose::Removal { .. } if self.components.len() == 1 => snapshot_type::COMPONENT,
            Purpose::Removal { .. } | Purpose::Composite { .. } => snapshot_type::COMPOSITE,
            Purpose::Group { .. } => snapshot_type::GROUP,
        }
    }
}

/// How a build's run is named in a label of its Snapshot: a run's name may be longer than a label.
pub(crate) fn label_of_run(name: &str) -> String {
    fit(LABEL_VALUE, name, "")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{from_value, json};

    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    fn application(name: &str) -> Application {
        from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": "app-uid"}, "spec": {}}))
            .unwrap()
    }

    fn entry(name: &str) -> SnapshotComponent {
        SnapshotComponent { name: name.to_owned(), container_image: "i".to_owned(), ..Default::default() }
    }

    fn new<'a>(application: &'a Application, purpose: Purpose<'a>, components: &[&str]) -> NewSnapshot<'a> {
        NewSnapshot {
            application,
            purpose,
            components: components.iter().map(|name| entry(name)).collect(),
            labels: [("kept".to_owned(), "yes".to_owned())].into(),
            annotations: BTreeMap::new(),
            trace: TraceContext::parse(TRACE),
        }
    }

    fn run(name: &str, uid: &str) -> PipelineRun {
        from_value(json!({"metadata": {"name": name, "uid": uid}, "spec": {}})).unwrap()
    }

    #[test]
    fn one_of_a_build_tells_of_which() {
        let (application, run) = (application("app"), run("run-1", "run-uid"));
        let finished = "2024-01-01T00:00:00Z".parse().unwrap();
        let purpose = Purpose::Build { component: "a", run: &run, finished };
        let snapshot = new(&application, purpose, &["a", "b"]).build();
        assert_eq!(snapshot.name_any(), format!("app-{}", hash(10, &["run-uid"])));
        assert_eq!(snapshot.spec.application, "app");
        let owner = &snapshot.owner_references()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("Application", Some(true)));
        assert_eq!(keys::TRACEPARENT.of(&snapshot.metadata.annotations), Some(TRACE));
        let content = content_hash(&snapshot.spec.components);
        let expected = json!({
            "kept": "yes",
            "appstudio.openshift.io/application": "app",
            "appstudio.openshift.io/component": "a",
            "appstudio.openshift.io/build-pipelinerun": "run-1",
            "test.appstudio.openshift.io/type": "component",
            "test.appstudio.openshift.io/pipelinerunfinishtime": "1704067200",
            "fleet.konflux-ci.dev/content-hash": content,
        });
        assert_eq!(json!(snapshot.labels()), expected);
    }

    #[test]
    fn the_same_cause_gives_the_same_name_and_another_one_another() {
        let (application, one, two) = (application("app"), run("r", "1"), run("r", "2"));
        let of = |run| Purpose::Build { component: "a", run, finished: Timestamp::UNIX_EPOCH };
        let composite = new(&application, Purpose::Composite { component: "a" }, &["a"]);
        let group = new(&application, Purpose::Group { hash: "g" }, &["a"]);
        assert_eq!(new(&application, of(&one), &["a"]).names(), new(&application, of(&one), &["b"]).names());
        assert_ne!(new(&application, of(&one), &["a"]).names(), new(&application, of(&two), &["a"]).names());
        assert_ne!(composite.names(), group.names());
        assert_ne!(
            composite.names(),
            new(&application, Purpose::Composite { component: "a" }, &["b"]).names(),
            "another content"
        );
    }

    #[test]
    fn names_and_labels_fit() {
        let (application, run) = (application(&"a".repeat(63)), run(&"r".repeat(253), "1"));
        let purpose = Purpose::Build { component: "a", run: &run, finished: Timestamp::UNIX_EPOCH };
        let snapshot = new(&application, purpose, &["a"]);
        assert!(snapshot.names().iter().all(|name| name.len() <= 63), "{:?}", snapshot.names());
        let snapshot = snapshot.build();
        assert!(snapshot.labels().values().all(|value| value.len() <= 63), "{:?}", snapshot.labels());
    }

    #[rstest]
    #[case::one_left(&["b"], "component")]
    #[case::two_left(&["b", "c"], "composite")]
    fn one_of_a_removal_is_of_what_is_left(#[case] left: &[&str], #[case] type_: &str) {
        let application = application("app");
        let component: Component =
            from_value(json!({"metadata": {"name": "a", "uid": "c-uid"}, "spec": {}})).unwrap();
        let snapshot = new(&application, Purpose::Removal { component: &component }, left).build();
        assert_eq!(labels::TYPE.of(&snapshot.metadata.labels), Some(type_));
        assert_eq!(keys::COMPONENT.of(&snapshot.metadata.labels), None, "nothing was built");
        assert_eq!(snapshot.name_any(), format!("app-{}", hash(10, &["c-uid"])));
    }
}
