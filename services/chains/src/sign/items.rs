//! What there is to be signed of a run.

use std::collections::BTreeSet;

use attest::statement::{PAYLOAD_TYPE, Subject};
use attest::{dsse, simple_signing, slsa};
use pipelines_engine_api::{PipelineRun, TaskRun};

use super::Failure;
use crate::config::{Artifact, Backend, Config, SignerKind};
use crate::payload::{self, Builder, Format, ImageRef, Settings};
use crate::run::Run as _;

/// Hexadecimal digits of an image's digest that its short key is made of.
const SHORT: usize = 12;

/// The run, and what belongs to it.
pub(crate) enum Target<'a> {
    TaskRun(&'a TaskRun),
    PipelineRun { run: &'a PipelineRun, task_runs: &'a [TaskRun] },
}

/// One thing to sign.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Short key (specification, section 3).
    pub(crate) key: String,
    /// For people.
    pub(super) what: String,
    pub(super) matter: Matter,
    pub(super) signer: SignerKind,
    pub(super) storage: Vec<Backend>,
}

/// Its payload.
#[derive(Clone, Debug)]
pub(super) enum Matter {
    Statement { payload: Vec<u8>, predicate_type: &'static str, subjects: Vec<Subject> },
    Image { image: ImageRef, payload: Vec<u8> },
}

impl Matter {
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Statement { payload, .. } | Self::Image { payload, .. } => payload,
        }
    }

    /// What the signature is over.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        match self {
            Self::Statement { payload, .. } => dsse::pae(PAYLOAD_TYPE, payload),
            Self::Image { payload, .. } => payload.clone(),
        }
    }
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// About malformed hints.
    pub(super) notes: Vec<String>,
    pub(super) failures: Vec<Failure>,
}

/// Everything that these settings have signed of a run.
pub(super) fn of(target: &Target<'_>, config: &Config) -> Found {
    let mut found = Found::default();
    match target {
        Target::TaskRun(run) => {
            found.statement(&config.task_runs, run.short_key(), "TaskRun", |format| {
                payload::task_run(format, run, &settings(config))
            });
            found.images(payload::images(run), &BTreeSet::new(), config);
        }
        Target::PipelineRun { run, task_runs } => {
            found.statement(&config.pipeline_runs, run.short_key(), "PipelineRun", |format| {
                payload::pipeline_run(format, run, task_runs, &settings(config))
            });
            // Its TaskRuns have signed theirs.
            let signed = task_runs.iter().flat_map(|run| payload::images(run).0).collect();
            found.images(payload::pipeline_run_images(run), &signed, config);
        }
    }
    found
}

impl Found {
    fn statement(
        &mut self,
        artifact: &Artifact,
        key: String,
        kind: &'static str,
        build: impl FnOnce(Format) -> Result<payload::Payload, payload::PayloadError>,
    ) {
        if !artifact.is_enabled() {
            return;
        }
        match build(artifact.format) {
            Ok(payload::Payload { statement, subjects, notes }) => {
                self.notes.extend(notes);
                let predicate_type = predicate_type(artifact.format);
                let matter = Matter::Statement { payload: statement, predicate_type, subjects };
                self.push(artifact, key, format!("provenance of the {kind}"), matter);
            }
            Err(source) => self.failures.push(Failure::Payload { kind, source }),
        }
    }

    fn images(
        &mut self,
        (images, notes): (Vec<ImageRef>, Vec<String>),
        signed_before: &BTreeSet<ImageRef>,
        config: &Config,
    ) {
        if !config.images.is_enabled() {
            return;
        }
        // The statement about the run has said them, where there is one.
        if self.items.is_empty() {
            self.notes.extend(notes);
        }
        for image in images.into_iter().filter(|image| !signed_before.contains(image)) {
            let key = image.digest.hex().chars().take(SHORT).collect();
            let what = format!("image {}@{}", image.repository, image.digest);
            let payload = simple_signing::Payload::for_image(&image.repository, &image.digest);
            self.push(&config.images, key, what, Matter::Image { image, payload });
        }
    }

    fn push(&mut self, artifact: &Artifact, key: String, what: String, matter: Matter) {
        let Artifact { signer, storage, .. } = artifact;
        self.items.push(Item { key, what, matter, signer: *signer, storage: storage.clone() });
    }
}

fn settings(config: &Config) -> Settings {
    let builder = Builder { id: config.builder_id.clone(), version: config.builder_version.clone() };
    Settings { builder, build_type: config.build_type, deep_inspection: config.deep_inspection }
}

fn predicate_type(format: Format) -> &'static str {
    match format {
        Format::SlsaV02 => slsa::v02::PREDICATE_TYPE,
        Format::SlsaV1(_) => slsa::v1::PREDICATE_TYPE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn config(entries: &[(&str, &str)]) -> Config {
        let data: BTreeMap<_, _> =
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::read(&data).unwrap()
    }

    fn task_run() -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "t", "namespace": "n", "uid": "1-2-3"},
            "spec": {},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "True"}],
                "results": [
                    {"name": "IMAGE_URL", "value": "registry.example/app:v1"},
                    {"name": "IMAGE_DIGEST", "value": DIGEST},
                ],
            },
        }))
        .unwrap()
    }

    fn keys(found: &Found) -> Vec<&str> {
        found.items.iter().map(|item| item.key.as_str()).collect()
    }

    #[test]
    fn a_task_run_has_a_statement_and_its_images() {
        let run = task_run();
        assert_eq!(keys(&of(&Target::TaskRun(&run), &config(&[]))), ["taskrun-1-2-3", "e3b0c44298fc"]);
        let off = config(&[("artifacts.taskrun.storage", ""), ("artifacts.oci.signer", "none")]);
        assert!(keys(&of(&Target::TaskRun(&run), &off)).is_empty());
    }

    #[test]
    fn a_pipeline_run_signs_what_its_task_runs_have_not() {
        let run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "4-5-6"},
            "spec": {},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "True"}],
                "results": [
                    {"name": "IMAGE_URL", "value": "registry.example/app:v1"},
                    {"name": "IMAGE_DIGEST", "value": DIGEST},
                ],
            },
        }))
        .unwrap();
        let of_tasks = of(&Target::PipelineRun { run: &run, task_runs: &[task_run()] }, &config(&[]));
        assert_eq!(keys(&of_tasks), ["pipelinerun-4-5-6"]);
        let alone = of(&Target::PipelineRun { run: &run, task_runs: &[] }, &config(&[]));
        assert_eq!(keys(&alone), ["pipelinerun-4-5-6", "e3b0c44298fc"]);
    }
}
