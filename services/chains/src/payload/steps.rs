//! Steps and sidecars of a TaskRun: what ran, from which image.

use attest::slsa::v02::Material;
use pipelines_engine_api::task_run::StepState;
use pipelines_engine_api::{Step, TaskRun};
use serde::Serialize;

use super::PayloadError;
use super::artifact::DigestSet;
use super::run::Run;

/// A step, as the build configuration of a v0.2 predicate has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepAttestation<'a> {
    /// Script, or else command.
    entry_point: String,
    /// `null` if there are none.
    arguments: Option<&'a [String]>,
    environment: StepEnvironment<'a>,
    /// Always `null`: steps have none.
    annotations: (),
}

#[derive(Clone, Debug, Serialize)]
struct StepEnvironment<'a> {
    container: &'a str,
    /// `oci://<repository>@<digest>`. Absent if the step never got as far.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
}

/// The steps in status, with what the Task says of the steps of the same names.
pub(super) fn steps(run: &TaskRun) -> Vec<StepAttestation<'_>> {
    let Some(status) = &run.status else {
        return Vec::new();
    };
    let declared = status.task_spec.as_ref().map_or(&[][..], |task| &task.steps);
    status
        .steps
        .iter()
        .map(|state| {
            let step = declared.iter().enumerate().find(|(index, step)| is_of(step, *index, state));
            let step = step.map(|(_, step)| step);
            StepAttestation {
                entry_point: step.map(entry_point).unwrap_or_default(),
                arguments: step.map(|step| step.args.as_slice()).filter(|args| !args.is_empty()),
                environment: StepEnvironment {
                    container: &state.name,
                    image: image_id(&state.image_id).map(|id| format!("oci://{id}")),
                },
                annotations: (),
            }
        })
        .collect()
}

/// Steps without a name are called by their place.
fn is_of(step: &Step, index: usize, state: &StepState) -> bool {
    if step.name.is_empty() { state.name == format!("unnamed-{index}") } else { step.name == state.name }
}

fn entry_point(step: &Step) -> String {
    if step.script.is_empty() { step.command.join(" ") } else { step.script.clone() }
}

/// Without what old kubelets put in front. `None` for a container that never began.
fn image_id(id: &str) -> Option<&str> {
    let id = id.strip_prefix("docker-pullable://").unwrap_or(id);
    (!id.is_empty()).then_some(id)
}

/// Images of the steps, then of the sidecars, as inputs.
pub(super) fn images(run: &TaskRun) -> Result<Vec<Material>, PayloadError> {
    let Some(status) = &run.status else {
        return Ok(Vec::new());
    };
    let steps = status.steps.iter().map(|step| (&step.name, &step.image_id));
    let sidecars = status.sidecars.iter().map(|sidecar| (&sidecar.name, &sidecar.image_id));
    let mut images = Vec::new();
    for (container, id) in steps.chain(sidecars) {
        let Some(id) = image_id(id) else {
            continue;
        };
        let image = material(id).ok_or_else(|| PayloadError::ImageWithoutDigest {
            run: Run::of_task(run).title(),
            container: container.clone(),
            image: id.to_owned(),
        })?;
        images.push(image);
    }
    Ok(images)
}

fn material(id: &str) -> Option<Material> {
    let (repository, digest) = id.split_once('@')?;
    let (algorithm, hex) = digest.split_once(':')?;
    let is_whole = !repository.is_empty() && !algorithm.is_empty() && !hex.is_empty();
    is_whole.then(|| Material {
        uri: format!("oci://{repository}"),
        digest: DigestSet::from([(algorithm.to_owned(), hex.to_owned())]),
    })
}
