//! Puts the token endpoint together and runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleet::Fleet;
use fleet::certificate::Directory;
use fleet::controller::chain;
use fleet::http::{Limits, Server};
use k8s_openapi::api::core::v1::Secret;
use kube::core::Expression;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::endpoint::{Endpoint, Parts};
use super::metrics::Metrics;
use super::record::{Account, RECORD, Record as _, Repository};
use super::signer::Signer;

/// Between two looks at the key.
const EVERY: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(1);
/// Everything is in memory.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs the token endpoint until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let namespace = fleet.namespace().to_owned();
    let kinds = [Repository::KIND.to_owned(), Account::KIND.to_owned()].into();
    let records =
        fleet.store::<Secret>().labels(Expression::In(RECORD.to_string(), kinds)).only_in(&namespace).build();
    let signer = Arc::new(RwLock::new(None));
    let parts = Parts {
        records,
        namespace,
        signer: Arc::clone(&signer),
        service: args.registry_host.clone(),
        metrics: Metrics::new(fleet.registry())?,
    };
    let limits = Limits { deadline: DEADLINE, ..Limits::default() };
    let configuration = |error: fleet::http::Error| fleet::Error::Configuration(chain(&error));
    let server = Server::bind("token-addr", args.token_addr, limits).map_err(configuration)?;
    let has_key = Arc::clone(&signer);
    fleet.readiness().require("key of tokens", move || has_key.read().is_some());
    let serving = server.ready();
    fleet.readiness().require("serving certificate", move || *serving.borrow());

    let end = CancellationToken::new();
    let directory = Directory::new(&args.token_cert_dir);
    let certificates = directory.certificates();
    tokio::spawn(directory.run(end.clone()));
    tokio::spawn(follow_key(args.registry_token_key_dir, args.registry_host, signer));
    let listening = server.run(Endpoint::new(parts).routes(), Some(certificates), end.clone());
    let outcome = tokio::select! {
        ended = fleet.serve() => ended,
        ended = listening => ended.map_err(configuration),
    };
    end.cancel();
    outcome
}

/// Reads the key again and again: it is replaced without a restart. One that cannot be used is passed over.
async fn follow_key(folder: PathBuf, service: String, signer: Arc<RwLock<Option<Arc<Signer>>>>) {
    let mut complaint = String::new();
    loop {
        match Signer::load(&folder, &service).await {
            Ok(read) => {
                *signer.write() = Some(Arc::new(read));
                complaint.clear();
            }
            Err(error) => {
                let trouble = chain(&error);
                if trouble != complaint {
                    tracing::error!(error = trouble, "The key of registry tokens cannot be used");
                    complaint = trouble;
                }
            }
        }
        let has_key = signer.read().is_some();
        tokio::time::sleep(if has_key { EVERY } else { SOON }).await;
    }
}
