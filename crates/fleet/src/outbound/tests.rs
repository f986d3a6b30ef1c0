//! Against servers on loopback, over TLS, with names that only these tests know.

mod budgets;
mod guards;
mod limits;
mod redirects;
mod trusting;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request as Received;
use axum::response::Response as Answer;
use axum::routing::any;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use futures::FutureExt as _;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use testkit::pki::Authority;

use super::*;

/// Far more than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Names and who answers to them.
struct World {
    authority: Authority,
    folder: TempDir,
    /// Taken one after the other; the last one stays.
    addresses: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    lookups: Arc<AtomicUsize>,
    timing: Timing,
}

/// Something that answers, and how often it was asked.
struct Place {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Place {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn url(&self, host: &str, path: &str) -> Url {
        Url::parse(&format!("https://{host}:{}{path}", self.address.port())).unwrap()
    }
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("outbound-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
        let timing = Timing {
            connect: Duration::from_secs(2),
            reload: Duration::from_millis(20),
            ..Timing::default()
        };
        Self { authority, folder, addresses: Arc::default(), lookups: Arc::default(), timing }
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// `name` leads to each of these in turn.
    fn name(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect())
            .collect();
        self.addresses.lock().insert(name.to_owned(), answers);
    }

    fn lookup(&self) -> Lookup {
        let (addresses, lookups) = (self.addresses.clone(), self.lookups.clone());
        Arc::new(move |name| {
            lookups.fetch_add(1, Ordering::SeqCst);
            let mut addresses = addresses.lock();
            let found = addresses
                .get_mut(&name)
                .map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() });
            let found = found.ok_or_else(|| std::io::Error::other("no such name"));
            let found = found.map(|found| found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect());
            std::future::ready(found).boxed()
        })
    }

    /// The client that an operator would get with this `--outbound-allow`.
    fn client(&self, allow: &str) -> Client {
        let options =
            Options { allow: allow.parse().unwrap(), ca_bundle: Some(self.bundle()), ..Options::default() };
        Client::with("test", options, Clock::system(), &Registry::new(), self.lookup(), self.timing).unwrap()
    }

    /// Serves TLS at this address of loopback, for `names` that lead there from now on.
    fn serve<F>(
        &self,
        ip: &str,
        names: &[&str],
        answer: impl Fn(Received) -> F + Clone + Send + Sync + 'static,
    ) -> Place
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        for name in names {
            self.name(name, &[&[ip]]);
        }
        let leaf = self.authority.server("server", &[names, &[ip]].concat()).unwrap();
        let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let router = Router::new().fallback(any(move |request: Received| {
            count.fetch_add(1, Ordering::SeqCst);
            answer(request)
        }));
        let server = from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config))).unwrap();
        tokio::spawn(server.serve(router.into_make_service()));
        Place { address, asked }
    }

    /// Serves a place that always says the same.
    fn says(&self, ip: &str, names: &[&str], status: u16, headers: &[(&str, &str)], body: &str) -> Place {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let body = body.to_owned();
        self.serve(ip, names, move |_| std::future::ready(answer(status, &headers, &body)))
    }
}

fn answer(status: u16, headers: &[(String, String)], body: &str) -> Answer {
    let answer = http::Response::builder().status(status);
    let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
    answer.body(axum::body::Body::from(body.to_owned())).unwrap()
}

fn ok(body: &str) -> Answer {
    answer(200, &[], body)
}

fn token(text: &str) -> crate::Secret<String> {
    crate::Secret::new(text.to_owned())
}

/// The refusal that a call ended with.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused { refusal, .. }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
