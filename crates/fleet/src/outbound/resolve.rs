//! Names become addresses here, and are checked before anything connects: there is no second resolution that could
//! have another answer.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, Permit};

/// Asks the system for the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

pub(super) fn system() -> Lookup {
    Arc::new(|name| {
        // The port is put in by the connector.
        async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed()
    })
}

/// The only resolver of a client.
pub(super) struct Guarded {
    pub(super) guard: Arc<Guard>,
    pub(super) permit: Permit,
    pub(super) lookup: Lookup,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, permit) = (self.guard.clone(), self.permit);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await?;
            let permitted = guard.permitted(found.iter().copied(), permit).map_err(|refusal| {
                tracing::info!(host = name.as_str(), addresses = ?found, "Refused to connect to a host");
                Box::<dyn StdError + Send + Sync>::from(refusal)
            })?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
