//! `cargo xtask deploy`: an overlay on a cluster, in an order in which everything finds what it needs.
//!
//! ```text
//! render ─▶ images by digest ─▶ namespaces, CRDs (await Established) ─▶ generated Secrets ─▶ services
//!        ─▶ await roll-out, webhook certificates ─▶ configuration (objects of our own kinds)
//! ```
//! Everything is written by server-side apply, so a second run changes only what differs, and what others own is
//! reported instead of taken. Nothing is deleted.
use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use crate::{
    cluster,
    images::record::{self, Images},
    paths,
    program::interruptible,
    ui,
};

mod apply;
mod diagnose;
mod object;
mod pins;
mod plan;
mod render;
mod rollout;
mod secrets;
mod serving;
mod target;

pub use apply::Applier;
pub use object::Object;
pub use plan::Plan;
pub use render::{kustomize, kustomize_text, objects};
pub use target::Target;

#[cfg(test)]
mod tests;

/// Seconds for pulling images and starting, on a slow machine.
const TIMEOUT: u64 = 300;

/// Applies an overlay to a cluster and waits until all of it runs.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub cluster: cluster::Choice,
    /// Use this cluster instead of the embedded one.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Folder with the kustomization to apply.
    #[arg(long, value_name = "FOLDER", default_value = "deploy/kustomize/overlays/dev")]
    pub overlay: PathBuf,
    /// Digests to put in place of `konflux/<service>`. Default: what `cargo xtask images` wrote last.
    #[arg(long, value_name = "FILE")]
    pub images: Option<PathBuf>,
    /// Certificate authorities for the services' `trusted-ca`, PEM. Default: the embedded cluster's own.
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,
    /// Take fields over that somebody else has set meanwhile, instead of stopping.
    #[arg(long)]
    pub force_conflicts: bool,
    /// How long to wait for the services to be ready, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT)]
    pub timeout: u64,
}

impl DeployArgs {
    /// What the command line would be with this overlay and nothing else.
    pub fn of_overlay(overlay: &str, cluster: cluster::Choice) -> Self {
        Self {
            cluster,
            kubeconfig: None,
            overlay: overlay.into(),
            images: None,
            ca_bundle: None,
            force_conflicts: false,
            timeout: TIMEOUT,
        }
    }
}

pub async fn run(args: DeployArgs) -> anyhow::Result<()> {
    interruptible(async {
        let target = Target::choose(&args.cluster, args.kubeconfig.as_deref()).await?;
        deploy(&args, &target).await?;
        Ok(())
    })
    .await
}

/// Brings the overlay onto the cluster and waits until all of it runs. Returns the names of its workloads.
pub async fn deploy(args: &DeployArgs, target: &Target) -> anyhow::Result<Vec<String>> {
    let mut objects = rendered(args).await?;
    let file = args.images.clone().map_or_else(|| record::default_file(&args.cluster), Ok)?;
    pins::pin(&mut objects, Images::read(&file)?.as_ref())?;
    let plan = Plan::of(objects);
    let timeout = Duration::from_secs(args.timeout);
    let force = args.force_conflicts;

    let mut applier = Applier::discover(target.client.clone(), force).await?;
    // Half a deployment is worse than none.
    for object in plan.of_foreign_kinds() {
        applier.api(object)?;
    }
    apply(&applier, counted(plan.namespaces.len(), "namespace"), &plan.namespaces).await?;
    if !plan.definitions.is_empty() {
        apply(&applier, counted(plan.definitions.len(), "kind"), &plan.definitions).await?;
        rollout::established(&target.client, &plan.definitions, timeout).await?;
        // The new kinds are to be found, too.
        applier = Applier::discover(target.client.clone(), force).await?;
    }
    generate(&applier, &plan, args, target).await?;
    let what = format!("{} of the services", counted(plan.services.len(), "object"));
    apply(&applier, what, &plan.services).await?;
    let workloads = rollout::finished(&target.client, &plan.services, timeout).await?;
    let what = format!("{} of configuration", counted(plan.configuration.len(), "object"));
    apply(&applier, what, &plan.configuration).await?;
    Ok(workloads)
}

/// Applies objects as one step, if there are any.
async fn apply(applier: &Applier, what: String, objects: &[Object]) -> anyhow::Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let step = ui::step(what);
    let tally = applier.apply_all(objects, |name| step.waiting(name)).await?;
    step.done_with(&tally.to_string());
    Ok(())
}

/// Makes what nobody has to write: the ConfigMap of authorities, and Secrets that are absent.
async fn generate(applier: &Applier, plan: &Plan, args: &DeployArgs, target: &Target) -> anyhow::Result<()> {
    let bundle = match &args.ca_bundle {
        Some(file) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?)
        }
        None => target.certificate_authority.clone(),
    };
    let trusted = secrets::trusted_ca(&plan.service_namespaces(), bundle.as_deref());
    apply(applier, "certificate authorities to trust".to_owned(), &trusted).await?;
    let step = ui::step("generated Secrets");
    let namespaces = plan.namespace_names();
    let mut given = secrets::Values::new();
    let mut made = Vec::new();
    if let Some(cluster) = &target.embedded {
        let of_forge = cluster.forge_webhook_secret()?;
        given.extend(of_forge.map(|value| (secrets::GITEA_WEBHOOK.to_owned(), value)));
        if let Some(key) = cluster.registry_token_key()? {
            given.insert(secrets::TOKEN_CERTIFICATE.to_owned(), key.cert_pem);
            given.insert(secrets::TOKEN_KEY.to_owned(), key.key_pem);
        }
        made = serving::issue(&target.client, &namespaces, cluster).await?;
    }
    made.extend(secrets::generate(&target.client, &namespaces, &given).await?);
    step.done_with(&if made.is_empty() {
        "none is absent".to_owned()
    } else {
        format!("made {}", made.join(", "))
    });
    Ok(())
}

/// `1 object`, `2 objects`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The overlay's objects. A relative folder is looked for below the working directory, then in the checkout.
async fn rendered(args: &DeployArgs) -> anyhow::Result<Vec<Object>> {
    let overlay =
        if args.overlay.exists() { args.overlay.clone() } else { paths::repository()?.join(&args.overlay) };
    let step = ui::step(format!("{} rendered", args.overlay.display()));
    let objects = kustomize(&overlay).await?;
    step.done_with(&counted(objects.len(), "object"));
    Ok(objects)
}
