//! Puts a service's parts together and runs them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use kube::core::Selector;
use kube::{Client, Resource};
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::args::Args;
use crate::certificate::{CaTarget, Directory, Issuer};
use crate::clock::Clock;
use crate::controller::{Controller, ControllerMetrics, Runner};
use crate::health::{self, BindError, Readiness};
use crate::key::ObjectKey;
use crate::leader::{Election, Leadership, Lost};
use crate::migration::{Migration, MigrationMetrics};
use crate::names;
use crate::queue::{Limits, Queue, QueueMetrics};
use crate::remote::{self, Remote};
use crate::store::{Discovery, Feed, Index, IndexFn, Scope, Store, Stored, Watch, WatchMetrics};
use crate::webhook::{self, Webhooks};
use crate::writer::Writer;
use crate::{client, outbound, telemetry};

/// How long work in hand may take after a signal to stop (security.md 8.12).
const GRACE: Duration = Duration::from_secs(20);

/// How long webhooks are still answered after this replica stopped being ready: until then the API server may send.
const DRAIN: Duration = Duration::from_secs(2);

/// How long servers and the release of the lease may take after that.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Why a service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Webhook(#[from] webhook::Error),
    #[error(transparent)]
    Outbound(#[from] outbound::BuildError),
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("signals cannot be received")]
    Signal(#[source] std::io::Error),
    #[error("{0} stopped serving")]
    Server(&'static str, #[source] Option<std::io::Error>),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// A flag or variable of the service itself, named in the text.
    #[error("{0}")]
    Configuration(String),
}

/// A task that runs as long as the process; its end is the end of the service.
type Background = BoxFuture<'static, Result<(), Error>>;

/// One service while it is put together: `run` of a service adds stores, controllers and webhooks, then calls
/// [`serve`](Self::serve).
pub struct Fleet {
    service: &'static str,
    args: Args,
    client: Client,
    registry: Registry,
    clock: Clock,
    discovery: Discovery,
    readiness: Readiness,
    writer: Writer,
    leadership: Leadership,
    election: Option<Election>,
    namespace: String,
    stop: CancellationToken,
    watch_metrics: WatchMetrics,
    queue_metrics: QueueMetrics,
    controller_metrics: ControllerMetrics,
    migration_metrics: MigrationMetrics,
    feeds: Vec<BoxFuture<'static, ()>>,
    /// Their end is the end of the service.
    tasks: Vec<Background>,
    runners: Vec<Runner>,
    webhooks: Option<(Webhooks, Vec<CaTarget>)>,
    migrated: Vec<String>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Fleet {
    /// `stop` ends the service gracefully when it is cancelled.
    pub fn new(
        service: &'static str,
        args: Args,
        client: Client,
        registry: Registry,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        // Also without a call to the outside: a flag that is wrong is wrong from the start.
        args.outbound().check().map_err(outbound::BuildError::from)?;
        let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let identity = args.identity.clone().unwrap_or_else(|| {
            format!("{service}-{}", names::hash(8, &[&rand::random::<u128>().to_string()]))
        });
        let election = args.leader_elect.then(|| {
            let lease = args.shard.lease(args.lease.as_deref().unwrap_or(service));
            let election = Election::new(client.clone(), &namespace, &lease, &identity);
            match &args.also_hold_lease {
                Some(lease) => election.also_hold(&namespace, lease),
                None => election,
            }
        });
        let leadership = election.as_ref().map_or_else(Leadership::always, Election::leadership);
        let writer = Writer::new(client.clone(), service, identity, leadership.clone());
        writer.register(&registry)?;
        Ok(Self {
            service,
            writer,
            readiness: Readiness::new(stop.clone()),
            clock: Clock::system(),
            discovery: Discovery::new(client.clone()),
            watch_metrics: WatchMetrics::new(&registry)?,
            queue_metrics: QueueMetrics::new(&registry)?,
            controller_metrics: ControllerMetrics::new(&registry)?,
            migration_metrics: MigrationMetrics::new(&registry)?,
            args,
            client,
            registry,
            leadership,
            election,
            namespace,
            stop,
            feeds: Vec::new(),
            tasks: Vec::new(),
            runners: Vec::new(),
            webhooks: None,
            migrated: Vec::new(),
        })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the service itself lies.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where a service registers its own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Whether this replica may act.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// What has to hold before this replica counts as ready, beside stores and webhooks.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The client for everything outside the cluster. Call it once and hand out clones: what a host is given is counted
    /// by client.
    pub fn outbound(&mut self) -> Result<outbound::Client, Error> {
        let options = self.args.outbound();
        let client = outbound::Client::new(self.service, options, self.clock.clone(), &self.registry)?;
        self.feeds.push(client.clone().follow_bundle().boxed());
        Ok(client)
    }

    /// Decides who may use an endpoint of this service, by tokens that were issued for `audience`. Call it once, as above.
    pub fn access(&self, audience: impl Into<String>) -> Result<Access, Error> {
        Ok(Access::new(self.client.clone(), audience, &self.registry)?)
    }

    /// Watches a namespaced kind in the namespaces of `--watch-namespaces`.
    pub fn store<K>(&mut self) -> StoreBuilder<'_, K>
    where
        K: Stored + Resource<Scope = NamespaceResourceScope>,
    {
        let source = Source {
            client: self.client.clone(),
            discovery: self.discovery.clone(),
            writer: self.writer.clone(),
            is_remote: false,
        };
        StoreBuilder::new(self, source)
    }

    /// Connects to a second cluster, by a kubeconfig that `flag` names. The file is read again when it changes. Call it once.
    ///
    /// Fails if the file is missing or no kubeconfig. Whether the cluster answers is another matter: see [`Remote`].
    pub async fn remote(&mut self, flag: &'static str, file: &Path) -> Result<Remote, Error> {
        let (remote, keep) = Remote::connect(self.service, flag, file, &self.writer, &self.registry).await?;
        self.tasks.push(async move { keep.await.map_err(Error::from) }.boxed());
        Ok(remote)
    }

    /// Watches a namespaced kind in a second cluster, in all namespaces unless something else is said. The service is ready
    /// without it: that cluster may be out of reach for hours.
    pub fn remote_store<K>(&mut self, remote: &Remote) -> StoreBuilder<'_, K>
    where
        K: Stored + Resource<Scope = NamespaceResourceScope>,
    {
        let source = Source {
            client: remote.client().clone(),
            discovery: Discovery::new(remote.client().clone()),
            writer: remote.writer().clone(),
            is_remote: true,
        };
        StoreBuilder::new(self, source)
    }

    /// Begins a controller with a queue of its own.
    pub fn controller(&self, name: &'static str) -> Controller {
        let limits = Limits::for_workers(usize::from(self.args.concurrency));
        Controller::new(name, Queue::of_shard(self.args.shard, name, limits, &self.queue_metrics))
    }

    /// The same, with so many workers whatever `--concurrency` says: where a setting of the original's limits this one.
    pub fn controller_with_workers(&self, name: &'static str, workers: u16) -> Controller {
        let workers = usize::from(workers.max(1));
        let limits = Limits::for_workers(workers);
        Controller::new(name, Queue::of_shard(self.args.shard, name, limits, &self.queue_metrics))
            .workers(workers)
    }

    /// Runs a controller when the service serves and this replica leads.
    pub fn run(&mut self, runner: Runner) {
        self.runners.push(runner);
    }

    /// Name of the webhook configuration of this installation.
    pub fn webhook_configuration(&self) -> String {
        self.args.webhook_configuration.clone().unwrap_or_else(|| self.service.to_owned())
    }

    /// Serves webhooks. The leader writes the authority of their certificate into `targets`.
    pub fn webhooks(&mut self, webhooks: Webhooks, targets: impl IntoIterator<Item = CaTarget>) {
        self.webhooks = Some((webhooks, targets.into_iter().collect()));
    }

    /// Has the leader write again what is stored in older versions of these kinds, named as their definitions are
    /// (`things.example.com`). The service's ClusterRole allows get of the definitions and patch of their status, by
    /// name, and list and patch of the kinds.
    pub fn migrate_storage(&mut self, crds: impl IntoIterator<Item = impl Into<String>>) {
        self.migrated.extend(crds.into_iter().map(Into::into));
    }

    /// Runs everything until the process is told to stop, then finishes what is in hand.
    ///
    /// Fails if an address is taken, a server ends, or the lease is lost: the process should then exit, and start anew
    /// as a standby.
    pub async fn serve(mut self) -> Result<(), Error> {
        let end = CancellationToken::new();
        let has_webhooks = self.webhooks.is_some();
        let mut background = JoinSet::new();
        for server in self.bind(&end).await? {
            background.spawn(server);
        }
        for feed in self.feeds.drain(..) {
            background.spawn(never_fails(end.clone().run_until_cancelled_owned(feed).map(drop)));
        }
        for task in self.tasks.drain(..) {
            let task = end.clone().run_until_cancelled_owned(task);
            background.spawn(task.map(|ended| ended.unwrap_or(Ok(()))));
        }
        // Cancelled when the work in hand is finished: only then another replica may take over.
        let work_is_done = CancellationToken::new();
        let mut election = {
            let done = work_is_done.clone();
            let election = self.election.take();
            tokio::spawn(async move {
                if let Some(election) = election {
                    election.run(done).await
                } else {
                    done.cancelled().await;
                    Ok(())
                }
            })
        };
        let mut controllers = self.start_controllers();

        let outcome = tokio::select! {
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = background.join_next() => ended.unwrap_or(Err(Error::Server("a task", None))),
            lost = &mut election => lost.unwrap_or(Ok(())).map_err(Error::Lost),
        };
        tracing::info!("Stopping: finishing what is in hand");
        self.stop.cancel();
        let finished = async { while controllers.join_next().await.is_some() {} };
        if timeout(GRACE, finished).await.is_err() {
            tracing::warn!(
                seconds = GRACE.as_secs(),
                "Work in hand takes too long; it is left to the next start"
            );
            controllers.shutdown().await;
        }
        work_is_done.cancel();
        if !election.is_finished() {
            let _ = timeout(LAST_GRACE, election).await;
        }
        if has_webhooks {
            tokio::time::sleep(DRAIN).await;
        }
        end.cancel();
        let _ = timeout(LAST_GRACE, async { while background.join_next().await.is_some() {} }).await;
        tracing::info!("Stopped");
        outcome
    }

    /// Binds every address before anything runs, so that a taken port ends the start.
    async fn bind(&mut self, end: &CancellationToken) -> Result<Vec<Background>, Error> {
        let health = health::bind("health-addr", self.args.health_addr).await?;
        let metrics = health::bind("metrics-addr", self.args.metrics_addr).await?;
        let serve_health = health::serve_health(health, self.readiness.clone(), end.clone());
        let serve_metrics = health::serve_metrics(metrics, self.registry.clone(), end.clone());
        let mut background: Vec<Background> = vec![
            serve_health.map(|ended| ended.map_err(|error| Error::Server("health", Some(error)))).boxed(),
            serve_metrics.map(|ended| ended.map_err(|error| Error::Server("metrics", Some(error)))).boxed(),
        ];
        let Some((webhooks, targets)) = self.webhooks.take() else { return Ok(background) };
        let server = webhooks.bind(self.args.webhook_addr, &self.registry)?;
        let ready = server.ready();
        self.readiness.require("webhook certificate", move || *ready.borrow());
        let certificates = if let Some(folder) = &self.args.webhook_cert_dir {
            let directory = Directory::new(folder);
            let certificates = directory.certificates();
            background.push(never_fails(directory.run(end.clone())).boxed());
            certificates
        } else {
            let issuer = Issuer::new(self.client.clone(), &self.namespace, self.service)
                .names(self.args.webhook_names.clone())
                .inject_into(targets);
            let certificates = issuer.certificates();
            background.push(never_fails(issuer.run(self.leadership_of_installation(), end.clone())).boxed());
            certificates
        };
        let serve = server.run(certificates, end.clone());
        background.push(async move { serve.await.map_err(Error::from) }.boxed());
        Ok(background)
    }

    /// For what is done once, however many shards there are.
    fn leadership_of_installation(&self) -> Leadership {
        if self.args.shard.is_first() { self.leadership.clone() } else { Leadership::never() }
    }

    fn start_controllers(&mut self) -> JoinSet<()> {
        let mut controllers = JoinSet::new();
        for runner in self.runners.drain(..) {
            let leadership = self.leadership.clone();
            controllers.spawn(runner.run(
                usize::from(self.args.concurrency),
                self.clock.clone(),
                self.controller_metrics.clone(),
                async move { leadership.held().await },
                self.stop.clone(),
            ));
        }
        if !self.migrated.is_empty() {
            let metrics = self.migration_metrics.clone();
            let migration = Migration::new(self.client.clone(), self.migrated.drain(..), metrics);
            controllers.spawn(migration.run(self.leadership_of_installation(), self.stop.clone()));
        }
        controllers
    }
}

async fn never_fails(task: impl Future<Output = ()>) -> Result<(), Error> {
    task.await;
    Ok(())
}

/// The cluster that a store is of.
struct Source {
    client: Client,
    discovery: Discovery,
    writer: Writer,
    is_remote: bool,
}

/// Which namespaces a store is of.
enum Where {
    /// Those of `--watch-namespaces`; in a second cluster all.
    Default,
    Only(String),
    Told,
}

/// A store under construction.
#[must_use]
pub struct StoreBuilder<'a, K> {
    fleet: &'a mut Fleet,
    source: Source,
    trim: fn(&mut K),
    indexers: Vec<(Index, IndexFn<K>)>,
    watch: Watch,
    is_optional: bool,
    scope: Where,
}

impl<'a, K> StoreBuilder<'a, K>
where
    K: Stored + Resource<Scope = NamespaceResourceScope>,
{
    fn new(fleet: &'a mut Fleet, source: Source) -> Self {
        Self {
            fleet,
            source,
            trim: |_| {},
            indexers: Vec::new(),
            watch: Watch::default(),
            is_optional: false,
            scope: Where::Default,
        }
    }

    /// Drops the fields that no reader of this store uses, before an object is kept. managedFields go in any case.
    pub fn trim(mut self, trim: fn(&mut K)) -> Self {
        self.trim = trim;
        self
    }

    /// Files objects under the keys that `keys_of` finds in them.
    pub fn index(
        mut self,
        index: Index,
        keys_of: impl Fn(&K) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        self.indexers.push((index, Arc::new(keys_of)));
        self
    }

    /// Keeps only objects that match this label selector.
    pub fn labels(mut self, selector: impl Into<Selector>) -> Self {
        self.watch.labels = selector.into();
        self
    }

    /// Keeps only objects that match this field selector.
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.watch.fields = selector.into();
        self
    }

    /// Works without this kind, which belongs to a neighbour that may not be installed: the service becomes ready, and the
    /// watch begins within seconds when the kind appears. [`Store::presence`] tells a kind that is absent from one of which
    /// there is no object; wake controllers by it with [`Controller::reads_presence`].
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Watches this one namespace, whatever `--watch-namespaces` says: for what belongs to the service itself.
    pub fn only_in(mut self, namespace: impl Into<String>) -> Self {
        self.scope = Where::Only(namespace.into());
        self
    }

    /// Watches the namespaces that [`Store::tell_namespaces`] names, each by itself; none at first. Such a store counts as synced
    /// at once: what is not in it proves nothing.
    pub fn in_told_namespaces(mut self) -> Self {
        self.scope = Where::Told;
        self
    }

    /// The store; its watch begins when the service serves.
    pub fn build(self) -> Store<K> {
        let Self { fleet, source, trim, indexers, watch, is_optional, scope } = self;
        let store = match scope {
            Where::Told => Store::of_told_namespaces(watch, trim, indexers),
            Where::Only(namespace) => {
                Store::of_watch(vec![Scope::Namespace(namespace)], watch, trim, indexers)
            }
            Where::Default if source.is_remote => Store::of_watch(vec![Scope::All], watch, trim, indexers),
            Where::Default => Store::of_watch(fleet.args.scopes(), watch, trim, indexers),
        };
        source.writer.feed(&store);
        let synced = store.clone();
        if !source.is_remote {
            fleet.readiness.explain(move || {
                if synced.is_synced() {
                    return None;
                }
                let name = format!("list of {}", K::plural(&()));
                Some(synced.trouble().map_or(name.clone(), |trouble| format!("{name} ({trouble})")))
            });
        }
        let feed = Feed {
            client: source.client,
            discovery: source.discovery,
            store: store.clone(),
            is_optional,
            metrics: fleet.watch_metrics.clone(),
        };
        fleet.feeds.push(feed.run().boxed());
        store
    }
}
