//! Tests of the kit against a real API server.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod absent;
mod access;
mod certificate;
mod conversion;
mod events;
mod leader;
mod memory;
mod migration;
mod quiet;
mod remote;
mod replica;
mod running;
mod served;
mod webhook;
mod writer;

use kube::Client;
use testkit::ControlPlane;

/// The shared control plane with a client of this test's own runtime.
async fn admin() -> (&'static ControlPlane, Client) {
    install_crypto();
    let plane = ControlPlane::shared().await;
    (plane, plane.admin())
}

/// As a service's start-up does; the second call finds the first one's.
fn install_crypto() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}
