//! Pipelines out of bundles: images whose layers are Tekton objects, with annotations that say which.

use std::collections::HashMap;
use std::sync::Arc;

use build_service_api::ErrorId;
use parking_lot::Mutex;
use pipelines_engine_api::annotations::bundle::{KIND, NAME};
use pipelines_engine_api::pipeline::PipelineSpec;
use pipelines_engine_api::{GROUP, Pipeline};
use registry::{Digest, Document, Keychain, Reference};
use serde_json::Value;
use tekton::{conversion, decode, layer};

use crate::failure::Failure;

/// Layers of a bundle.
const MAX_LAYERS: usize = 20;
/// Bytes of a pipeline.
const MAX_PIPELINE: u64 = 1024 * 1024;
/// Bytes of a layer as it lies in the registry.
const MAX_LAYER: u64 = MAX_PIPELINE + 64 * 1024;
/// Pipelines that are remembered: a platform has a handful, in a few versions.
const KEPT: usize = 64;

/// A pipeline of API version `tekton.dev/v1`.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Its spec, also with fields that we do not know.
    pub(crate) spec: Value,
    /// The same as far as we know them.
    pub(crate) known: PipelineSpec,
}

/// Fetches pipelines, and remembers what a digest stands for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bundles {
    registry: registry::Client,
    kept: Arc<Mutex<HashMap<Key, Arc<Resolved>>>>,
}

/// Registry and repository, digest, and name of the pipeline.
type Key = (String, Digest, String);

impl Bundles {
    pub(crate) fn new(registry: registry::Client) -> Self {
        Self { registry, kept: Arc::default() }
    }

    /// The pipeline of this name. A tag is looked up each time, what its digest stands for only once.
    pub(crate) async fn pipeline(&self, bundle: &str, name: &str) -> Result<Arc<Resolved>, Failure> {
        let not_found = |why: String| {
            Failure::permanent(
                ErrorId::PipelineRetrievalFailed,
                format!("pipeline {name:?} of {bundle}: {why}"),
            )
        };
        let reference: Reference =
            bundle.parse().map_err(|error: registry::InvalidReference| not_found(error.to_string()))?;
        if let Some(found) = reference.digest().and_then(|digest| self.kept(&reference, digest, name)) {
            return Ok(found);
        }
        let keychain = Keychain::default();
        let of_registry = |error: registry::Error| {
            if error.is_transient() {
                Failure::transient(format!("pipeline {name:?}: {}", fleet::controller::chain(&error)))
            } else {
                not_found(fleet::controller::chain(&error))
            }
        };
        let manifest = self.registry.manifest(&reference, &keychain).await.map_err(of_registry)?;
        if let Some(found) = self.kept(&reference, &manifest.digest, name) {
            return Ok(found);
        }
        let Document::Image(image) = manifest.document().map_err(of_registry)? else {
            return Err(not_found("it is an index of images, not a bundle".to_owned()));
        };
        if image.layers.len() > MAX_LAYERS {
            return Err(not_found(format!("it has {} layers, more than {MAX_LAYERS}", image.layers.len())));
        }
        let is_wanted = |layer: &&registry::Descriptor| {
            let of = |key: &str| layer.annotations.get(key).map_or("", String::as_str);
            of(KIND).eq_ignore_ascii_case("pipeline") && of(NAME) == name
        };
        let Some(layer) = image.layers.iter().find(is_wanted) else {
            return Err(not_found("the bundle has no such pipeline".to_owned()));
        };
        let blob = self.registry.blob(&manifest.reference, &layer.digest, MAX_LAYER, &keychain);
        let blob = blob.await.map_err(of_registry)?;
        let text = layer::unpack(&blob, MAX_PIPELINE)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()))
            .map_err(not_found)?;
        let resolved = Arc::new(read(&text, &format!("pipeline {name:?} of {bundle}"))?);
        self.keep((reference.name(), manifest.digest, name.to_owned()), &resolved);
        Ok(resolved)
    }

    fn kept(&self, reference: &Reference, digest: &Digest, name: &str) -> Option<Arc<Resolved>> {
        self.kept.lock().get(&(reference.name(), digest.clone(), name.to_owned())).cloned()
    }

    fn keep(&self, key: Key, resolved: &Arc<Resolved>) {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(resolved));
    }
}

/// The pipeline that a file holds, in version v1.
fn read(text: &str, what: &str) -> Result<Resolved, Failure> {
    let failed = |id, why: String| Failure::permanent(id, format!("{what}: {why}"));
    let no_pipeline = |why: String| failed(ErrorId::PipelineRetrievalFailed, why);
    let documents = tekton::documents(text).map_err(|error| no_pipeline(error.to_string()))?;
    let Some(document) = documents.into_iter().find(|document| document.value.is_object()) else {
        return Err(no_pipeline("its layer holds no object".to_owned()));
    };
    if document.value["kind"] != "Pipeline" {
        return Err(no_pipeline(format!("its layer holds kind {}", document.value["kind"])));
    }
    let converted = conversion::convert(document.value, &format!("{GROUP}/v1"))
        .map_err(|error| failed(ErrorId::PipelineConversionFailed, error.to_string()))?;
    let known: Pipeline = decode::object(converted.clone())
        .map_err(|error| failed(ErrorId::PipelineConversionFailed, error.to_string()))?;
    Ok(Resolved { spec: converted["spec"].clone(), known: known.spec })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn an_older_version_becomes_the_newer_one() {
        let resolved = read(
            "apiVersion: tekton.dev/v1beta1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  workspaces: [{name: workspace}]\n  \
             tasks:\n  - name: build\n    taskRef: {name: buildah, bundle: 'images.example/task:1'}\n    new: 1\n",
            "p",
        )
        .unwrap();
        let task = &resolved.spec["tasks"][0];
        assert_eq!(task["taskRef"]["resolver"], "bundles", "{task}");
        assert!(task["taskRef"]["bundle"].is_null(), "{task}");
        assert_eq!(task["new"], 1, "fields of other versions stay");
        assert_eq!(resolved.known.workspaces[0].name, "workspace");
    }

    #[rstest]
    #[case("", 400)]
    #[case("a: [", 400)]
    #[case("kind: Task", 400)]
    #[case("kind: Pipeline\napiVersion: tekton.dev/v2", 401)]
    #[case("kind: Pipeline\napiVersion: tekton.dev/v1\nspec: {tasks: 1}", 401)]
    fn says_what_is_wrong(#[case] text: &str, #[case] number: i32) {
        match read(text, "p").unwrap_err() {
            Failure::Permanent { id, .. } => assert_eq!(id.number(), number),
            transient @ Failure::Transient { .. } => panic!("{transient}"),
        }
    }
}
