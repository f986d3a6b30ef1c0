//! The resolvers' program: answers ResolutionRequests, in a process with rights and flows of its own.
//!
//! It alone calls what tenants name. While it is down, the controller ends requests that nobody answers.

use fleet::{Fleet, ServiceArgs};

use crate::live::registry_cert;
use crate::resolution::{self, CurrentSettings, Metrics, Resolver};
use crate::stores;

/// Configuration of pipelines-resolvers, beside its ConfigMaps.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "pipelines-resolvers",
    version,
    about = "Finds Tasks, Pipelines and StepActions in repositories, bundles and other namespaces"
)]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "pipelines-resolvers";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

/// Runs the resolvers until they are told to stop.
pub async fn run(_: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let namespace = fleet.namespace().to_owned();
    let requests = stores::requests(&mut fleet);
    let configuration = stores::configuration(&mut fleet, &namespace);
    let settings = CurrentSettings::follow(&configuration);
    let outbound = fleet.outbound()?;
    registry_cert::follow(&configuration, outbound.clone());
    let metrics = Metrics::new(fleet.registry())?;
    let resolver = Resolver::new(fleet.client().clone(), &outbound, metrics);
    let resolvers = resolution::resolvers(&fleet, &requests, &settings, resolver, &namespace);
    fleet.run(resolvers);
    fleet.serve().await
}
