//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::PostParams;
use serde_json::json;
use testkit::builders;
use testkit::rbac::Rare;

use crate::runs::{child, end, ended_task_run, image, pipeline_run, pipeline_status};
use crate::service::Service;

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let mut account = builders::service_account(&service.tenant, "default");
    account.secrets = Some(vec![serde_json::from_value(json!({"name": "push"}))?]);
    service.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;
    let login = json!({"auths": {}}).to_string();
    let mut secret = builders::secret(&service.tenant, "push", [(".dockerconfigjson", login.as_str())]);
    secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
    service.api::<Secret>().create(&PostParams::default(), &secret).await?;

    let (repository, digest) = service.push_image("app");
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    // Its TaskRun is signed before a restart, and read afterwards.
    service.run().await?;
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    end(&task_runs, "run-build", &crate::runs::task_status(&image(&repository, &digest))).await?;
    service.task_run_marked("run-build", "true").await?;
    service.stop().await?;
    service.run().await?;
    // A PipelineRun whose TaskRun was never there is looked for.
    let lonely = pipeline_run(&pipeline_runs, "lonely").await?;
    end(&pipeline_runs, "lonely", &pipeline_status(&lonely, &["gone"], &[])).await?;
    service.pipeline_run_marked("lonely", "failed").await?;
    end(&pipeline_runs, "run", &pipeline_status(&parent, &["build"], &[])).await?;
    service.pipeline_run_marked("run", "true").await?;
    ended_task_run(&task_runs, "alone", &[]).await?;
    service.task_run_marked("alone", "true").await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let conflict = "somebody else wrote to the run while it was signed";
    let rare = [
        Rare { verb: "list", resource: "pipelineruns", because: no_streaming },
        Rare { verb: "list", resource: "taskruns", because: no_streaming },
        Rare { verb: "list", resource: "configmaps", because: no_streaming },
        Rare { verb: "get", resource: "pipelineruns", because: conflict },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
        Rare { verb: "patch", resource: "secrets", because: "the certificate is renewed" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
