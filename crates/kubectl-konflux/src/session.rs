//! What a command works with.

use std::path::Path;

use anyhow::Context as _;
use http::Uri;
use kube::Client;
use tokio::sync::OnceCell;

use crate::archive::Archive;
use crate::cli::Global;
use crate::connect::{self, Address, Place};
use crate::forward;

/// One cluster, and its archive when it is first needed: logs of a run that exists need none.
pub(crate) struct Session {
    pub(crate) namespace: String,
    pub(crate) cluster: Client,
    flags: Global,
    place: Place,
    archive: OnceCell<Archive>,
}

impl Session {
    pub(crate) async fn open(flags: Global) -> anyhow::Result<Self> {
        let place = connect::place(&flags).await?;
        Ok(Self {
            namespace: flags.namespace.clone().unwrap_or_else(|| place.cluster.default_namespace.clone()),
            cluster: place.cluster()?,
            flags,
            place,
            archive: OnceCell::new(),
        })
    }

    pub(crate) async fn archive(&self) -> anyhow::Result<&Archive> {
        self.archive.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> anyhow::Result<Archive> {
        let address = self.place.archive.to_string();
        if let Address::Service(service) = &self.place.archive {
            // Before somebody waits for a way that leads nowhere.
            self.place.archive(Uri::from_static("https://127.0.0.1"))?;
            let way = forward::open(Path::new("kubectl"), service, &self.flags).await?;
            let url = format!("https://127.0.0.1:{}", way.port).parse().context("the forwarded port")?;
            return Ok(Archive::new(self.place.archive(url)?, address, Some(way)));
        }
        let url = self.place.url().context("an address that is no Service has a URL")?;
        let url = url.with_context(|| format!("{address} does not fit behind the cluster's address"))?;
        Ok(Archive::new(self.place.archive(url)?, address, None))
    }
}
