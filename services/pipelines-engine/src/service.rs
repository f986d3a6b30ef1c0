//! The controller and webhook program.

use std::path::PathBuf;
use std::sync::Arc;

use fleet::certificate::CaTarget;
use fleet::{Clock, Fleet, ServiceArgs, Writer};

use crate::guard::Guard;
use crate::live::configuration::Configuration;
use crate::live::delivery::Delivery;
use crate::live::surroundings::Live;
use crate::live::{keeper, registry_cert};
use crate::metrics::Metrics;
use crate::resolution::CurrentSettings;
use crate::stores::Stores;
use crate::{config, pipeline_run, resolution, task_run, webhook};

/// Kinds whose versions the webhook converts.
const CONVERTED: [&str; 5] = [
    "pipelineruns.tekton.dev",
    "pipelines.tekton.dev",
    "resolutionrequests.resolution.tekton.dev",
    "taskruns.tekton.dev",
    "tasks.tekton.dev",
];

/// Configuration of pipelines-engine, beside its ConfigMaps.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "pipelines-engine", version, about = "Runs Tekton PipelineRuns and TaskRuns")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    #[command(flatten)]
    pub config_maps: config::Names,

    /// The program that runs in pods, to be delivered to namespaces.
    #[arg(long, env = "ENTRYPOINT", default_value = "/entrypoint", value_name = "FILE")]
    pub entrypoint: PathBuf,

    /// The image that holds that program and nothing else: for image volumes and init containers, and in the place of
    /// sidecars that are to end.
    #[arg(long, alias = "nop-image", env = "ENTRYPOINT_IMAGE", value_name = "IMAGE")]
    pub entrypoint_image: String,

    /// Whether to serve admission and conversion webhooks.
    #[arg(long, env = "ENABLE_WEBHOOKS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "pipelines-engine";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

/// What the shells of both controllers share.
pub(crate) struct Context {
    pub(crate) client: kube::Client,
    pub(crate) stores: Stores,
    pub(crate) configuration: Configuration,
    pub(crate) surroundings: Live,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// Version, for an annotation of pods.
    pub(crate) release: &'static str,
    pub(crate) nop_image: String,
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let namespace = fleet.namespace().to_owned();
    let stores = Stores::new(&mut fleet, &namespace);
    let configuration = Configuration::follow(&stores.configuration, args.config_maps.clone());
    let metrics = Metrics::new(fleet.registry())?;
    metrics.follow(&stores.pipeline_runs, &stores.task_runs, &stores.pods);
    let delivery = Delivery::new(&mut fleet, &args.entrypoint, args.entrypoint_image.clone())?;
    let outbound = fleet.outbound()?;
    registry_cert::follow(&stores.configuration, outbound.clone());
    let (client, writer) = (fleet.client().clone(), fleet.writer().clone());
    let surroundings =
        Live::new(client.clone(), writer, stores.clone(), delivery.clone(), registry::Client::new(outbound));
    let guard =
        Guard::new(stores.pods.clone(), client.clone(), fleet.clock().clone(), metrics.entries.clone());
    let keeper =
        keeper::controller(&fleet, &stores.task_runs, &delivery, fleet.writer(), fleet.clock().clone());
    let settings = CurrentSettings::follow(&stores.configuration);
    let requests = stores.requests.clone();
    let context = Arc::new(Context {
        client,
        stores,
        configuration: configuration.clone(),
        surroundings,
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
        release: concat!("v", env!("CARGO_PKG_VERSION")),
        nop_image: args.entrypoint_image.clone(),
    });
    let controllers = [
        pipeline_run::controller::controller(&fleet, &context),
        task_run::controller::controller(&fleet, &context),
        resolution::lifecycle(&fleet, &requests, &settings),
        keeper,
    ];
    for controller in controllers {
        fleet.run(controller);
    }
    if args.enable_webhooks {
        let admission = [
            CaTarget::MutatingWebhooks("webhook.pipeline.tekton.dev".to_owned()),
            CaTarget::ValidatingWebhooks("validation.webhook.pipeline.tekton.dev".to_owned()),
            CaTarget::ValidatingWebhooks("config.webhook.pipeline.tekton.dev".to_owned()),
            CaTarget::ValidatingWebhooks("guard.webhook.pipeline.tekton.dev".to_owned()),
        ];
        let conversion = CONVERTED.map(|crd| CaTarget::Conversion(crd.to_owned()));
        let current = Arc::new(move || configuration.current());
        let webhooks = guard.add_to(webhook::webhooks(current, args.config_maps));
        fleet.webhooks(webhooks, admission.into_iter().chain(conversion));
    }
    fleet.serve().await
}
