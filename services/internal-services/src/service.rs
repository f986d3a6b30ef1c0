//! Puts the service together.

use std::sync::Arc;

use fleet::{Clock, Fleet, ObjectKey, Remote, Writer};
use internal_services_api::InternalServicesConfigSpec;
use kube::Client;

use crate::args::Args;
use crate::metrics::Metrics;
use crate::remote::Identity;
use crate::request::{Notes, Options};
use crate::settings::Settings;
use crate::stores::Stores;
use crate::{orphans, request, watched};

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) stores: Stores,
    pub(crate) remote: Remote,
    /// Of the local cluster.
    pub(crate) client: Client,
    /// Of the local cluster.
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
    pub(crate) notes: Notes,
    pub(crate) options: Options,
    /// Namespace of pipelines, runs and settings.
    pub(crate) home: String,
}

impl Context {
    /// As they are now.
    pub(crate) fn settings(&self) -> Settings {
        let key = ObjectKey::new(&self.home, InternalServicesConfigSpec::NAME);
        Settings::of(self.stores.configs.get(&key).as_deref())
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let metrics = Metrics::new(fleet.registry())?;
    let remote = fleet.remote("remote-cluster-config-file", &args.remote_cluster_config_file).await?;
    let home = args.service_namespace.filter(|namespace| !namespace.is_empty());
    let home = home.unwrap_or_else(|| fleet.namespace().to_owned());
    let stores = Stores::new(&mut fleet, &remote, &home, args.watch_all_remote);
    if !args.watch_all_remote {
        watched::follow(&stores, &home);
    }
    metrics.follow(&stores.requests);
    let gauge = metrics.clone();
    remote.on_reachable(move |is_reachable| gauge.set_remote_up(is_reachable));
    let context = Arc::new(Context {
        stores,
        remote,
        client: fleet.client().clone(),
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        metrics,
        identity: Identity::default(),
        notes: Notes::default(),
        options: Options {
            allowed_accounts: args.allowed_service_accounts,
            from_request_namespace: args.cluster_resolver_from_request_namespace,
            time_to_live: args.request_ttl,
        },
        home,
    });
    let controllers = [request::controller(&fleet, &context), orphans::controller(&fleet, &context)];
    for controller in controllers {
        fleet.run(controller);
    }
    fleet.serve().await
}
