//! Puts the parts together and runs them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use fleet::certificate::{CaTarget, Certificates, Directory};
use fleet::controller::chain;
use fleet::http::{Intake, Limits as HttpLimits, Server};
use fleet::leader::Leadership;
use fleet::outbound::{self, AllowList, Options};
use fleet::{Clock, Fleet, ObjectKey, ServiceArgs as _, Store, Writer};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use pipelines_as_code_api::names;
use pipelines_engine_api::{PipelineRun, TaskRun};
use prometheus::Registry;
use spool::{Limits as SpoolLimits, Retention, Spool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::auto_configure::AutoConfigure;
use crate::credentials::{self, Credentials};
use crate::events::Events;
use crate::intake::{Annotations, Lanes, Limits, Queue, Record, Worker};
use crate::metrics::{Metrics, RunMetrics, SpoolMetrics};
use crate::outcomes::{Lookup, Peers};
use crate::process::{self, Processor};
use crate::stores::{self, Repositories};
use crate::{incoming, info, listener, outcomes, remote, settings, watch, webhook};

/// Of one body, and of all that are in memory before they are stored.
const LARGEST_BODY: usize = 25 * 1024 * 1024;
const BODIES: usize = 100 * 1024 * 1024;

/// Forges wait ten seconds for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// For what was accepted, when the service has to end: the volume of the spool may go with the pod.
const GRACE: Duration = Duration::from_secs(15);

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let cluster = Cluster::new(&args, &mut fleet)?;
    let metrics = Metrics::new(fleet.registry())?;
    let clock = fleet.clock().clone();
    let spool = open_spool(&args, &clock).await?;
    let record = Record::open(spool.outcomes().clone(), metrics.clone(), clock).await;
    let service = Service::new(&args, &fleet, &cluster, metrics, spool, record)?;
    for controller in watch::controllers(&fleet, service.watched(&cluster)) {
        fleet.run(controller);
    }
    if args.enable_webhooks {
        let named = args.fleet.webhook_configuration.clone();
        let target = CaTarget::ValidatingWebhooks(named.unwrap_or_else(|| names::WEBHOOK.to_owned()));
        fleet.webhooks(webhook::webhooks(&cluster.repositories), [target]);
    }
    let end = CancellationToken::new();
    let listening = service.listen(&args, &fleet, &cluster, &end)?;
    tokio::spawn(publish_info(
        fleet.client().clone(),
        fleet.leadership().clone(),
        fleet.namespace().to_owned(),
        args.controller_url,
    ));
    tokio::spawn(service.open_lanes(&cluster));
    let outcome = tokio::select! {
        served = fleet.serve() => served,
        ended = listening => Err(ended.unwrap_or(fleet::Error::Server("the port of webhooks", None))),
    };
    end.cancel();
    service.lanes.finish(GRACE).await;
    outcome
}

async fn publish_info(client: kube::Client, leadership: Leadership, namespace: String, url: String) {
    leadership.held().await;
    info::publish(client, &namespace, &url).await;
}

/// What is read of the cluster, and how it is written to.
struct Cluster {
    repositories: Repositories,
    runs: Store<PipelineRun>,
    task_runs: Store<TaskRun>,
    configuration: Store<ConfigMap>,
    settings: settings::Current,
    outbound: outbound::Client,
    /// Deliveries are worked on by every replica, whoever leads.
    writer: Writer,
}

impl Cluster {
    fn new(args: &Args, fleet: &mut Fleet) -> Result<Self, fleet::Error> {
        let repositories = Repositories::new(fleet);
        let runs = watch::stores::pipeline_runs(fleet);
        let task_runs = watch::stores::task_runs(fleet);
        let configuration = stores::configuration(fleet, &args.controller_config_map);
        let settings = settings::Current::follow(&configuration, &args.controller_config_map);
        let identity = args.fleet.identity.clone().unwrap_or_else(|| Args::SERVICE.to_owned());
        let writer = Writer::new(fleet.client().clone(), Args::SERVICE, identity, Leadership::always());
        writer.feed(&runs);
        writer.feed(&repositories.store);
        let outbound = fleet.outbound()?;
        Ok(Self { repositories, runs, task_runs, configuration, settings, outbound, writer })
    }
}

async fn open_spool(args: &Args, clock: &Clock) -> Result<Spool, fleet::Error> {
    let limits = SpoolLimits {
        bytes: args.spool_bytes,
        count: args.spool_count,
        age: args.retry_for,
        ..SpoolLimits::default()
    };
    let spool = Spool::open(&args.spool_dir, limits, Retention::default(), clock.clone()).await;
    spool.map_err(|error| fleet::Error::Configuration(format!("--spool-dir: {}", chain(&error))))
}

/// The parts that take deliveries and work on them.
struct Service {
    metrics: Metrics,
    credentials: Credentials,
    events: Events,
    spool: Spool,
    lanes: Lanes,
    queue: Queue,
    outcomes: watch::incoming::Outcomes,
}

impl Service {
    fn new(
        args: &Args,
        fleet: &Fleet,
        cluster: &Cluster,
        metrics: Metrics,
        spool: Spool,
        record: Record,
    ) -> Result<Self, fleet::Error> {
        let (client, clock) = (fleet.client().clone(), fleet.clock().clone());
        fleet.registry().register(Box::new(RunMetrics::new(cluster.runs.clone())?))?;
        let credentials = Credentials::new(credentials::Parts {
            client: client.clone(),
            outbound: cluster.outbound.clone(),
            settings: cluster.settings.clone(),
            repositories: cluster.repositories.clone(),
            secret: ObjectKey::new(fleet.namespace(), &args.controller_secret),
            app_server: args.github_app_server.clone(),
            clock: clock.clone(),
        });
        let outcomes = watch::incoming::Outcomes::new();
        let processor = Processor::new(process::Parts {
            client,
            writer: cluster.writer.clone(),
            repositories: cluster.repositories.clone(),
            runs: cluster.runs.clone(),
            settings: cluster.settings.clone(),
            credentials: credentials.clone(),
            remote: remote::Resolver::new(cluster.outbound.clone()),
            controller: args.controller(),
            incoming: outcomes.clone(),
            clock: clock.clone(),
        });
        fleet.registry().register(Box::new(SpoolMetrics::new(spool.clone(), clock.clone())?))?;
        let events = Events::new(cluster.writer.clone());
        let worker = Worker {
            repositories: cluster.repositories.clone(),
            credentials: credentials.clone(),
            settings: cluster.settings.clone(),
            process: Arc::new(processor),
            incoming: outcomes.clone(),
            events: events.clone(),
            metrics: metrics.clone(),
            record: record.clone(),
            clock,
            large: Worker::one_at_a_time(),
        };
        let limits = Limits {
            all: args.deliveries.into(),
            of_one: args.deliveries_of_repository.into(),
            ..Limits::default()
        };
        let lanes = Lanes::new(spool.clone(), Arc::new(worker), record.clone(), limits);
        let queue = Queue::new(spool.clone(), lanes.clone(), record, metrics.clone());
        Ok(Self { metrics, credentials, events, spool, lanes, queue, outcomes })
    }

    fn watched(&self, cluster: &Cluster) -> watch::Parts {
        let metrics = self.metrics.clone();
        watch::Parts {
            repositories: cluster.repositories.clone(),
            pipeline_runs: cluster.runs.clone(),
            task_runs: cluster.task_runs.clone(),
            forges: Arc::new(self.credentials.clone()),
            settings: Arc::new(cluster.settings.clone()),
            intake: Arc::new(Annotations { queue: self.queue.clone(), outcomes: self.outcomes.clone() }),
            outcomes: self.outcomes.clone(),
            run_ended: Arc::new(move |run| metrics.run_ended(run)),
        }
    }

    /// Works on what waits, once it is known what there is to work with.
    fn open_lanes(&self, cluster: &Cluster) -> impl Future<Output = ()> + use<> {
        let (lanes, configuration) = (self.lanes.clone(), cluster.configuration.clone());
        let (repositories, runs) = (cluster.repositories.store.clone(), cluster.runs.clone());
        async move {
            configuration.synced().await;
            repositories.synced().await;
            runs.synced().await;
            lanes.open_all();
        }
    }

    /// Takes the port. The task ends with an error, or when `end` is cancelled.
    fn listen(
        &self,
        args: &Args,
        fleet: &Fleet,
        cluster: &Cluster,
        end: &CancellationToken,
    ) -> Result<JoinHandle<fleet::Error>, fleet::Error> {
        let limits = HttpLimits { deadline: DEADLINE, ..HttpLimits::default() };
        let server = Server::bind("port", args.address(), limits).map_err(|error| configuration(&error))?;
        let ready = server.ready();
        fleet.readiness().require("port of webhooks (its certificate)", move || *ready.borrow());
        let certificates = certificates(args, end);
        let routes = self.routes(args, fleet, cluster)?;
        let (spool, end) = (self.spool.clone(), end.clone());
        Ok(tokio::spawn(async move {
            let sweep = tokio::spawn({
                let (spool, end) = (spool, end.clone());
                async move { spool.run(end).await }
            });
            let ended = server.run(routes, certificates, end).await;
            let _ = sweep.await;
            ended.map_or_else(
                |error| configuration(&error),
                |()| fleet::Error::Server("the port of webhooks", None),
            )
        }))
    }

    fn routes(&self, args: &Args, fleet: &Fleet, cluster: &Cluster) -> Result<Router, fleet::Error> {
        let lookup = outcomes::routes(Lookup {
            queue: self.queue.clone(),
            access: fleet.access(Args::SERVICE)?,
            peers: peers(args, fleet)?,
        });
        let parts = listener::Parts {
            intake: Intake::new(LARGEST_BODY, BODIES).timeout(DEADLINE),
            repositories: cluster.repositories.clone(),
            credentials: self.credentials.clone(),
            settings: cluster.settings.clone(),
            incoming: incoming::Endpoint {
                repositories: cluster.repositories.clone(),
                credentials: self.credentials.clone(),
                queue: self.queue.clone(),
                events: self.events.clone(),
            },
            queue: self.queue.clone(),
            auto_configure: AutoConfigure::new(fleet.client().clone(), cluster.settings.clone()),
            events: self.events.clone(),
            metrics: self.metrics.clone(),
            clock: fleet.clock().clone(),
            proxies: args.trusted_proxies.clone(),
        };
        Ok(listener::routes(parts, lookup))
    }
}

/// The certificate of the port; `None` for plain text.
fn certificates(args: &Args, end: &CancellationToken) -> Option<Certificates> {
    let Some((certificate, key)) = args.certificate() else {
        tracing::warn!(
            "Without --tls-cert and --tls-key webhooks are served in plain text: a proxy has to stand in front"
        );
        return None;
    };
    let directory = Directory::files(certificate, key);
    let certificates = directory.certificates();
    tokio::spawn(directory.run(end.clone()));
    Some(certificates)
}

/// The other replicas, by a client of their own: what tenants name must not lead to them.
fn peers(args: &Args, fleet: &Fleet) -> Result<Option<Peers>, fleet::Error> {
    let urls = args.others();
    if urls.is_empty() {
        return Ok(None);
    }
    let shown = |url: &outbound::Url| {
        let host = url.host_str().unwrap_or_default();
        format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
    };
    let list = urls.iter().map(shown).collect::<Vec<_>>().join(",");
    let allow: AllowList =
        list.parse().map_err(|error| fleet::Error::Configuration(format!("--peers: {error}")))?;
    let options = Options { allow, ca_bundle: args.fleet.ca_bundle.clone(), ..Options::default() };
    // Its calls are not those to forges, which are counted.
    let client = outbound::Client::new(Args::SERVICE, options, fleet.clock().clone(), &Registry::new())?;
    tokio::spawn(client.clone().follow_bundle().map(drop));
    Ok(Some(Peers { client, urls }))
}

fn configuration(error: &fleet::http::Error) -> fleet::Error {
    fleet::Error::Configuration(chain(error))
}
