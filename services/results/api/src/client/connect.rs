//! Makes connections, each with the authorities that are on disk at that moment.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream, ResolveServerName,
};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tonic::ConnectError;
use tonic::codegen::Service;

/// For everything until TLS stands.
const CONNECT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
pub(super) struct Connector {
    ca: Option<PathBuf>,
    name: Arc<dyn ResolveServerName + Send + Sync>,
    tcp: HttpConnector,
}

impl Connector {
    /// `name` is what the certificate is of, if that is not the host of the address.
    pub(super) fn new(ca: Option<PathBuf>, name: Option<ServerName<'static>>) -> Self {
        let name: Arc<dyn ResolveServerName + Send + Sync> = match name {
            Some(name) => Arc::new(FixedServerNameResolver::new(name)),
            None => Arc::new(DefaultServerNameResolver::default()),
        };
        let mut tcp = HttpConnector::new();
        // TLS comes on top.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { ca, name, tcp }
    }

    async fn connect(self, uri: Uri) -> Result<MaybeHttpsStream<TokioIo<TcpStream>>, BoxError> {
        let roots = match &self.ca {
            _ if uri.scheme_str() == Some("http") => RootCertStore::empty(),
            Some(path) => read(path).await?,
            None => of_this_machine().await?,
        };
        HttpsConnector::new(self.tcp, tls(roots)?, false, self.name).call(uri).await
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT, self.clone().connect(uri.clone()));
        Box::pin(async move {
            let connected = connecting.await.unwrap_or_else(|_| {
                Err(format!("no connection to {uri} within {} s", CONNECT.as_secs()).into())
            });
            // By this type the call's status becomes UNAVAILABLE.
            connected.map_err(|error| ConnectError(error).into())
        })
    }
}

fn tls(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

async fn read(path: &Path) -> Result<RootCertStore, BoxError> {
    let wrong = |what: &str| format!("authorities of the results API in {}: {what}", path.display());
    let pem = tokio::fs::read(path).await.map_err(|error| wrong(&error.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("expected certificates in PEM (-----BEGIN CERTIFICATE-----)"))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(wrong("no certificate that can be trusted as an authority").into());
    }
    Ok(roots)
}

/// Some hundred files: not on the threads of the runtime.
async fn of_this_machine() -> Result<RootCertStore, BoxError> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        return Err("no authorities are installed on this machine; name a file of them".into());
    }
    Ok(roots)
}
