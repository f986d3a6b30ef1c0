//! Reads what collectors need: who they are, the release, and the one before.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use application_service_api::Snapshot;
use fleet::ObjectKey;
use kube::Resource;
use release_service_api::collectors::Collectors;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission};
use serde::de::DeserializeOwned;

use super::{About, FILE, Input, RESULTS, Side};
use crate::cluster::{Cluster, Named, object_key};
use crate::context::{Context, Results, say};
use crate::workspace::Workspace;

/// Stores what collectors need in the workspace.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Release, as <namespace>/<name>.
    #[arg(long, value_parser = object_key)]
    release: ObjectKey,
    /// The release before, with another Snapshot. Empty if there is none.
    #[arg(long, default_value = "")]
    previous_release: Named,
    #[arg(long, value_enum)]
    collectors_resource_type: ResourceType,
    /// The plan or admission with the collectors.
    #[arg(long, value_parser = object_key)]
    collectors_resource: ObjectKey,
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// Folder of the run in the workspace.
    #[arg(long)]
    subdirectory: String,
    #[command(flatten)]
    results: Results,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
enum ResourceType {
    ReleasePlan,
    ReleasePlanAdmission,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let cluster = context.cluster().await?;
    let (side, collectors) = collectors(&args, &cluster).await?;
    let collectors = collectors.unwrap_or_default();
    let release =
        about(&args.release, &cluster).await?.with_context(|| format!("Release {} is gone", args.release))?;
    let previous = match &args.previous_release.0 {
        Some(key) => about(key, &cluster).await?,
        None => None,
    };
    let input = Input {
        side,
        namespace: args.collectors_resource.namespace,
        collectors: collectors.items,
        secrets: collectors.secrets,
        release,
        previous,
    };
    say(&format!("There are {} collectors", input.collectors.len()));
    workspace.write_json(&format!("{}/{FILE}", args.subdirectory), &input)?;
    args.results.write("resultsDir", &format!("{}/{RESULTS}", args.subdirectory))
}

async fn collectors(args: &Args, cluster: &Cluster) -> anyhow::Result<(Side, Option<Collectors>)> {
    let key = &args.collectors_resource;
    Ok(match args.collectors_resource_type {
        ResourceType::ReleasePlan => {
            // A plan of another tenant would have its collectors run with the rights of this one.
            ensure!(
                key.namespace == args.release.namespace,
                "ReleasePlan {key} is in another namespace than Release {}",
                args.release
            );
            (Side::Tenant, read::<ReleasePlan>(key, cluster).await?.spec.collectors)
        }
        ResourceType::ReleasePlanAdmission => {
            let admission = read::<ReleasePlanAdmission>(key, cluster).await?;
            (Side::Managed, admission.spec.collectors)
        }
    })
}

/// A release with its Snapshot. `None` if one of them is gone: Snapshots and Releases end by time.
async fn about(key: &ObjectKey, cluster: &Cluster) -> anyhow::Result<Option<About>> {
    let Some(release) = found(read::<Release>(key, cluster).await)? else {
        say(&format!("Release {key} is gone"));
        return Ok(None);
    };
    let snapshot = key.sibling(&release.spec.snapshot);
    let Some(object) = found(read::<Snapshot>(&snapshot, cluster).await)? else {
        say(&format!("Snapshot {snapshot} of Release {key} is gone"));
        return Ok(None);
    };
    let attribution = release.status.and_then(|status| status.attribution);
    Ok(Some(About {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        author: attribution.and_then(|attribution| attribution.author).unwrap_or_default(),
        snapshot: snapshot.name,
        spec: object.spec,
    }))
}

async fn read<K: Resource<DynamicType = ()> + DeserializeOwned>(
    key: &ObjectKey,
    cluster: &Cluster,
) -> anyhow::Result<K> {
    let object = cluster.get::<K>(key).await?;
    serde_json::from_value(object).with_context(|| format!("read {} {key}", K::kind(&())))
}

fn found<T>(answer: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match answer {
        Err(error) if crate::cluster::is_not_found(&error) => Ok(None),
        answer => answer.map(Some),
    }
}
