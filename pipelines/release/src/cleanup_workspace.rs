//! `cleanup-workspace`: what a run leaves behind goes: its InternalRequests, then its files.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use internal_services_api::{InternalRequest, labels};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

use crate::cluster::{Cluster, patiently};
use crate::context::{Context, say};
use crate::internal_request::uid;
use crate::workspace::Workspace;

/// Deletes the InternalRequests of a run, which cancels those that are still worked on, and the run's folder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Namespace of the run.
    #[arg(long)]
    namespace: String,
    /// Uid of the run, by which its InternalRequests are labelled. Empty if it makes none.
    #[arg(long, default_value = "")]
    pipeline_run_uid: String,
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// The run's folder in the workspace. With an empty one nothing is deleted.
    #[arg(long, default_value = "")]
    subdirectory: String,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.subdirectory.trim().is_empty() {
        say("No folder is named: nothing is deleted");
        return Ok(());
    }
    let workspace = Workspace::open(&args.workspace)?;
    // Before anything goes, so that a wrong path changes nothing at all.
    workspace.path(&args.subdirectory)?;
    // The files go also if the requests cannot: they may be many, and the requests have an end of their own.
    let requests = match args.pipeline_run_uid.as_str() {
        "" => Ok(()),
        run => delete_requests(&context.cluster().await?, &args.namespace, run).await,
    };
    remove(&workspace, &args.subdirectory)?;
    requests
}

async fn delete_requests(cluster: &Cluster, namespace: &str, run: &str) -> anyhow::Result<()> {
    let run = uid(run).map_err(anyhow::Error::msg).context("--pipeline-run-uid")?;
    let requests = cluster.api::<InternalRequest>(namespace);
    let of_run = ListParams::default().labels(&format!("{}={run}", labels::PIPELINE_RUN_UID.as_str()));
    let what = format!("list InternalRequests of {namespace}");
    let found = patiently(&what, async || match requests.list_metadata(&of_run).await {
        // Nobody has made any where the kind is not known.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        answer => answer.map(|list| list.items),
    });
    for request in found.await? {
        let name = request.name_any();
        patiently(&format!("delete InternalRequest {namespace}/{name}"), async || {
            match requests.delete(&name, &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await?;
        say(&format!("Deleted InternalRequest {namespace}/{name}"));
    }
    Ok(())
}

/// Deletes a folder with all that is in it. Links in it are deleted, not followed.
fn remove(workspace: &Workspace, subdirectory: &str) -> anyhow::Result<()> {
    let folder = workspace.path(subdirectory)?;
    ensure!(folder != workspace.root(), "{subdirectory:?} is the workspace itself: name a folder in it");
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => say(&format!("Deleted {subdirectory}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            say(&format!("There is no {subdirectory}: nothing is deleted"));
        }
        Err(error) => return Err(error).with_context(|| format!("delete {subdirectory:?} of the workspace")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::testing::World;

    #[tokio::test]
    async fn the_folder_of_the_run_goes_and_no_other() {
        let world = World::new();
        world.write("work/run/a/b.json", "{}");
        world.write("work/other/x", "x");
        let outside = world.write("outside/x", "x");
        std::os::unix::fs::symlink(outside.parent().unwrap(), world.path("work/run/link")).unwrap();
        for _ in 0..2 {
            world
                .run(&["cleanup-workspace", "--namespace=n", "--workspace=@work", "--subdirectory=run"])
                .await
                .unwrap();
            assert!(!world.path("work/run").exists());
            assert!(world.path("work/other/x").exists() && outside.exists());
        }
    }

    #[rstest]
    #[case::empty("", true)]
    #[case::blank("  ", true)]
    #[case::root(".", false)]
    #[case::up("..", false)]
    #[case::up_and_back("../work", false)]
    #[case::absolute("/", false)]
    #[case::link("link", false)]
    #[case::below_a_link("link/inner", false)]
    #[tokio::test]
    async fn nothing_else_goes(#[case] subdirectory: &str, #[case] succeeds: bool) {
        let world = World::new();
        world.write("work/run/a.json", "{}");
        world.write("outside/inner/x", "x");
        std::os::unix::fs::symlink(world.path("outside"), world.path("work/link")).unwrap();
        let flag = format!("--subdirectory={subdirectory}");
        let ended = world.run(&["cleanup-workspace", "--namespace=n", "--workspace=@work", &flag]).await;
        assert_eq!(ended.is_ok(), succeeds, "{ended:?}");
        assert!(world.path("work/run/a.json").exists() && world.path("outside/inner/x").exists());
    }
}
