//! Deletes runs whose request is gone, as after its finalizer was taken off by hand. Looks at all of them every ten minutes.

use std::sync::Arc;
use std::time::Duration;

use fleet::{Fleet, ObjectKey, Runner, Wake, Write, patience};
use internal_services_api::InternalRequest;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;

use crate::request::{Error, is_done, name_of, uid_of};
use crate::service::Context;
use crate::stores::{all, request_of};

const EVERY: Duration = Duration::from_mins(10);

/// All that the decision looks at.
struct Observed {
    run: Arc<PipelineRun>,
    /// The remote cluster.
    cluster: String,
    /// Uid of the request that has now the name that the run gives; `None` if none has, for sure.
    namesake: Option<String>,
    keeps_finished_runs: bool,
}

fn decide(seen: &Observed) -> Option<Write> {
    let uid = uid_of(&seen.run)?;
    // Others may share the namespace: services of another remote cluster, or the original.
    let is_ours = seen.run.name_any() == name_of(&seen.cluster, uid);
    let is_gone = seen.namesake.as_deref() != Some(uid);
    let is_kept = seen.keeps_finished_runs && is_done(&seen.run);
    let goes = seen.run.metadata.deletion_timestamp.is_some();
    (is_ours && is_gone && !is_kept && !goes).then(|| Write::delete(&*seen.run))
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let controller = fleet.controller("orphans").consults(&stores.runs).consults(&stores.configs);
    controller.waker().wake(all());
    controller.reconcile(move |_| sweep(Arc::clone(&context)))
}

async fn sweep(context: Arc<Context>) -> Result<Wake, Error> {
    let mut failure = None;
    for key in context.stores.runs.keys() {
        let Some(run) = context.stores.runs.get(&key) else { continue };
        // One that cannot be looked at holds up no other.
        if let Err(error) = Box::pin(look(run, &context)).await {
            failure = Some(error);
        }
    }
    failure.map_or(Ok(Wake::After(EVERY)), Err)
}

async fn look(run: Arc<PipelineRun>, context: &Context) -> Result<(), Error> {
    let Some(request) = request_of(&run) else { return Ok(()) };
    let known = context.stores.requests.get(&request);
    if known.is_some_and(|known| known.metadata.uid.as_deref() == uid_of(&run)) {
        return Ok(());
    }
    let namesake = Box::pin(live(&request, context)).await;
    let namesake =
        namesake.map_err(|source| Error::Read { what: format!("InternalRequest {request}"), source })?;
    let cluster = context.identity.of(&context.remote).await.map_err(|source| Error::Read {
        what: "Namespace kube-system of the remote cluster".to_owned(),
        source,
    })?;
    let seen = Observed {
        run,
        cluster: cluster.to_owned(),
        namesake,
        keeps_finished_runs: context.settings().debug,
    };
    let delete = decide(&seen);
    Ok(context.writer.apply(delete.as_slice()).await?)
}

/// Not in the store proves nothing.
async fn live(request: &ObjectKey, context: &Context) -> Result<Option<String>, kube::Error> {
    let requests: Api<InternalRequest> = Api::namespaced(context.remote.client().clone(), &request.namespace);
    Ok(patience::read(|| requests.get_opt(&request.name)).await?.and_then(|request| request.uid()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn run(name: &str, cause: &str, status: &str) -> PipelineRun {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": "r", "annotations": {"fleet.konflux-ci.dev/cause": cause}},
            "spec": {},
            "status": {"conditions": [{"type": "Succeeded", "status": status}]},
        }))
        .unwrap()
    }

    fn ours() -> String {
        name_of("c", "u")
    }

    #[rstest]
    #[case::gone(run(&ours(), "u", "Unknown"), None, false, true)]
    #[case::another_of_its_name(run(&ours(), "u", "Unknown"), Some("v"), false, true)]
    #[case::there(run(&ours(), "u", "Unknown"), Some("u"), false, false)]
    #[case::of_another_cluster(run(&name_of("d", "u"), "u", "Unknown"), None, false, false)]
    #[case::of_the_original(run("internalrequest-x2v4b", "", "Unknown"), None, false, false)]
    #[case::kept(run(&ours(), "u", "True"), None, true, false)]
    #[case::goes_on_though_finished_ones_are_kept(run(&ours(), "u", "Unknown"), None, true, true)]
    fn deletes(
        #[case] run: PipelineRun,
        #[case] namesake: Option<&str>,
        #[case] keeps_finished_runs: bool,
        #[case] expected: bool,
    ) {
        let seen = Observed {
            run: Arc::new(run),
            cluster: "c".to_owned(),
            namesake: namesake.map(str::to_owned),
            keeps_finished_runs,
        };
        assert_eq!(decide(&seen).is_some(), expected);
    }

    #[test]
    fn one_that_says_nothing_of_its_request_stays() {
        let mut run = run(&ours(), "u", "True");
        run.metadata.annotations = None;
        let seen =
            Observed { run: Arc::new(run), cluster: "c".into(), namesake: None, keeps_finished_runs: false };
        assert_eq!(decide(&seen), None);
    }
}
