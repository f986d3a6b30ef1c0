//! The fleet as it was deployed by `cargo xtask demo`, from outside: nothing of it runs in this process.
//!
//! The cluster is named by `$KONFLUX_E2E_KUBECONFIG`; `cargo xtask test --e2e` sets it.
use std::{ops::Deref, path::Path, time::Duration};

use anyhow::Context as _;
use testkit::ControlPlane;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

mod application_service;
mod builds;
mod component;
mod demo;
mod forge;
mod images;
mod integration;
mod pipelines;
mod pipelines_as_code;
mod release;
mod results;
mod tenant;
mod trust;

/// For what takes another pod or another leader: far more than either takes, on a busy machine.
const LONG: Duration = Duration::from_mins(2);

/// Held for writing by a test that makes a service go away: requests of others would not be checked meanwhile.
static CALM: RwLock<()> = RwLock::const_new(());

/// The cluster, for as long as a test uses it. Dereferences to testkit's access to it.
struct Cluster<Guard> {
    plane: ControlPlane,
    _guard: Guard,
}

/// The cluster, with all services there.
async fn cluster() -> anyhow::Result<Cluster<RwLockReadGuard<'static, ()>>> {
    Ok(Cluster { plane: attach().await?, _guard: CALM.read().await })
}

/// The cluster, without any other test on it.
async fn cluster_alone() -> anyhow::Result<Cluster<RwLockWriteGuard<'static, ()>>> {
    Ok(Cluster { plane: attach().await?, _guard: CALM.write().await })
}

async fn attach() -> anyhow::Result<ControlPlane> {
    let kubeconfig = std::env::var_os("KONFLUX_E2E_KUBECONFIG").context(
        "KONFLUX_E2E_KUBECONFIG is not set: run `cargo xtask test --e2e`, or name the kubeconfig of a cluster on which \
         `cargo xtask demo` has succeeded (`cargo xtask kubeconfig` prints that of the dev cluster)",
    )?;
    ControlPlane::attach(Path::new(&kubeconfig)).await
}

impl<Guard> Deref for Cluster<Guard> {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}
