//! The runs of Components that are gone (section 4.9). Those that test a Snapshot belong to it, and stay.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Component;
use build_service_api::labels;
use fleet::{Fleet, ObjectKey, Presence, Runner, Wake, Write, WriteError};
use kube::Api;
use pipelines_engine_api::PipelineRun;

use crate::Context;
use crate::stores::{BY_COMPONENT, by_component};

/// While it is not known what is there.
const UNKNOWN: Duration = Duration::from_secs(10);

/// Why runs were not deleted.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error("read Component {component}")]
    Read { component: ObjectKey, source: kube::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl fleet::Classed for Error {
    fn class(&self) -> fleet::Class {
        match self {
            // Also what others would take for permanent: the runs are there still.
            Self::Read { .. } => fleet::Class::Retry,
            Self::Write(error) => error.class(),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("clean-up")
        .reads_changes(&context.stores.components, |change| {
            if change.new.is_none() { vec![change.key.clone()] } else { Vec::new() }
        })
        // At the start all runs are new. One that comes after its Component went is found as well.
        .reads_changes(&context.stores.runs, |change| {
            change.new.iter().flat_map(|run| by_component(run)).collect()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let stores = &context.stores;
    if stores.components.get(&key).is_some() {
        return Ok(Wake::OnChange);
    }
    let left = stores.runs.indexed(BY_COMPONENT, &key);
    if !left.iter().any(|run| is_ours(run)) {
        return Ok(Wake::OnChange);
    }
    match stores.components.presence() {
        Presence::Listed => {}
        // Without the kind nobody can say that a Component is gone.
        Presence::Absent => return Ok(Wake::OnChange),
        Presence::Unknown => return Ok(Wake::After(UNKNOWN)),
    }
    // Before what cannot be undone: the watch may be behind.
    let components: Api<Component> = Api::namespaced(context.client.clone(), &key.namespace);
    let live = components.get_metadata_opt(&key.name).await;
    if live.map_err(|source| Error::Read { component: key.clone(), source })?.is_some() {
        return Ok(Wake::OnChange);
    }
    // Each by its uid, not all by their labels: one that is made anew in this moment is another's.
    let writes: Vec<_> = left.iter().filter(|run| is_ours(run)).map(|run| Write::delete(&**run)).collect();
    context.write(&writes).await?;
    tracing::info!(
        runs = writes.len(),
        namespace = key.namespace,
        name = key.name,
        "Deleted the runs of a Component that is gone"
    );
    Ok(Wake::OnChange)
}

/// Whether a run goes with its Component, and does not go already.
fn is_ours(run: &PipelineRun) -> bool {
    run.metadata.deletion_timestamp.is_none()
        && labels::TYPE.of(&run.metadata.labels) != Some(labels::TYPE_TEST)
}
