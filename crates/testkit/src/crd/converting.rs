//! Kinds whose versions are converted, as their service would do it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::ensure;
use fleet::certificate::CertificateBundle;
use fleet::webhook::Webhooks as Served;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Kinds, dynamic};
use crate::control_plane::{ControlPlane, Options};
use crate::install::Webhooks;
use crate::manifests;
use crate::pki::Authority;

/// The path at which every service converts.
const PATH: &str = "/convert";

/// A control plane with kinds of several versions, and the webhook that converts them.
///
/// It is one's own: a definition names one webhook, so tests of a shared control plane would answer for each other.
#[derive(Debug)]
pub struct Converting {
    pub plane: ControlPlane,
    serving: JoinHandle<Result<(), fleet::webhook::Error>>,
    cancel: DropGuard,
}

impl Kinds {
    /// A control plane of its own where `convert` answers for these kinds, as the kit's server calls it.
    pub async fn converting<E: std::fmt::Display>(
        &self,
        convert: impl Fn(Value, &str) -> Result<Value, E> + Send + Sync + 'static,
    ) -> anyhow::Result<Converting> {
        let plane = ControlPlane::start(Options::default()).await?;
        let authority = Authority::new("conversion")?;
        let leaf = authority.server("conversion", &["127.0.0.1"])?;
        let key = fleet::Secret::new(leaf.key_pem);
        let bundle = CertificateBundle::parse(authority.cert_pem().to_owned(), leaf.cert_pem, key)?;
        let server = Served::new()
            .convert(PATH, convert)
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &prometheus::Registry::new())?;
        let port = server.listening().port();
        let cancel = CancellationToken::new();
        // The sender may go: what it said last is still there.
        let (_, certificates) = tokio::sync::watch::channel(Some(Arc::new(bundle)));
        let serving = tokio::spawn(server.run(certificates, cancel.clone()));

        let webhooks = Webhooks { port, ca_pem: Some(authority.cert_pem()), namespaces: &[] };
        let mut definitions = Vec::new();
        for crd in (self.crds)() {
            let name = crd.spec.names.plural.clone();
            let mut definition = dynamic(&serde_json::to_value(crd)?)?;
            if let Some(path) = definition.data.pointer("/spec/conversion/webhook/clientConfig/service/path")
            {
                ensure!(path == PATH, "{name} is converted at {path}, and not at {PATH} as all kinds are");
            }
            webhooks.convert(&mut definition);
            definitions.push(definition);
        }
        manifests::apply(&plane.admin(), definitions, "default").await?;
        Ok(Converting { plane, serving, cancel: cancel.drop_guard() })
    }
}

impl Converting {
    /// Ends the webhook, as when the service is not there.
    pub async fn stop(self) -> anyhow::Result<ControlPlane> {
        drop(self.cancel);
        self.serving.await??;
        Ok(self.plane)
    }
}
