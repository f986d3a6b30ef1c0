//! The one pooled client for all back ends.
//!
//! Not the kit's client for the outside ([`fleet::outbound`]): that is for hosts that strangers name, and gives each of
//! them few calls at once. Back ends are named by operators and get thousands of calls a second. Its rules hold
//! nevertheless: own authorities, addresses that are checked where they are connected to, no redirects, no proxies.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fleet::outbound::{Reach, Roots, TrustError, reach};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use tower::Service;

use crate::backend::Backend;

const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than what servers wait, so that we seldom write into a connection that they are about to close.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 64;
/// Contents are compared: the kubelet swaps a link two levels up.
const REREAD: Duration = Duration::from_secs(10);

type Connections = Pool<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    bundle: Option<PathBuf>,
    skip_verify: bool,
    state: RwLock<State>,
}

struct State {
    roots: Roots,
    /// Back ends that operators have named, wherever they are.
    trusted: Connections,
    /// Back ends that were registered: the internet only.
    guarded: Connections,
}

impl Client {
    /// Reads the certificate authorities. [`follow_bundle`](Self::follow_bundle) has to run beside it.
    pub(crate) fn new(bundle: Option<PathBuf>, skip_verify: bool) -> Result<Self, TrustError> {
        let state = State::new(Roots::read(bundle.as_deref())?, skip_verify)?;
        Ok(Self(Arc::new(Inner { bundle, skip_verify, state: RwLock::new(state) })))
    }

    /// Sends a request. Redirects are answers.
    pub(crate) async fn send(
        &self,
        backend: &Backend,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        let answer = {
            let state = self.0.state.read();
            if backend.is_trusted { state.trusted.request(request) } else { state.guarded.request(request) }
        };
        answer.await
    }

    /// Trusts by a changed bundle in new connections, and leaves the old ones. Never ends.
    pub(crate) async fn follow_bundle(self) {
        loop {
            tokio::time::sleep(REREAD).await;
            let client = self.clone();
            let read = tokio::task::spawn_blocking(move || client.reread()).await;
            match read {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "The bundle cannot be used; what was read before stays in use");
                }
                Err(_) => return,
            }
        }
    }

    fn reread(&self) -> Result<(), TrustError> {
        let roots = Roots::read(self.0.bundle.as_deref())?;
        if self.0.state.read().roots != roots {
            let state = State::new(roots, self.0.skip_verify)?;
            *self.0.state.write() = state;
            tracing::info!("Read certificate authorities");
        }
        Ok(())
    }
}

impl State {
    fn new(roots: Roots, skip_verify: bool) -> Result<Self, TrustError> {
        let mut tls = roots.client_config()?;
        if skip_verify {
            tls.dangerous().set_certificate_verifier(Arc::new(unverified::Anybody::default()));
        }
        let connections = |is_guarded| {
            let mut http = HttpConnector::new_with_resolver(Resolver { is_guarded });
            http.set_connect_timeout(Some(CONNECT));
            http.set_nodelay(true);
            http.enforce_http(false);
            let https = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
                .enable_http1()
                .wrap_connector(http);
            Pool::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .build(https)
        };
        Ok(Self { trusted: connections(false), guarded: connections(true), roots })
    }
}

/// Whether a back end that somebody registered may be at this address.
pub(crate) fn is_permitted(address: IpAddr) -> bool {
    reach(address) == Reach::Public
}

/// The system's resolver; guarded it knows only addresses on the internet.
#[derive(Clone)]
struct Resolver {
    is_guarded: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let is_guarded = self.is_guarded;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> =
                found.filter(|address| !is_guarded || is_permitted(address.ip())).collect();
            if addresses.is_empty() {
                return Err(io::Error::other("its name leads to no address that may be called"));
            }
            Ok(addresses.into_iter())
        })
    }
}

/// `--insecure-skip-tls-verify`.
mod unverified {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    /// Takes every certificate for the right one. That the server has its key is checked nevertheless.
    #[derive(Debug)]
    pub(super) struct Anybody(CryptoProvider);

    impl Default for Anybody {
        fn default() -> Self {
            Self(aws_lc_rs::default_provider())
        }
    }

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
