//! Against a real server of the generated services, over TLS.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::pki::Authority;
use tonic::{Code, Request, Response, Status, Streaming};

use super::*;
use crate::HttpBody;
use crate::v1alpha2::logs_server::{Logs, LogsServer};
use crate::v1alpha2::{
    DeleteLogRequest, GetLogRequest, ListRecordsRequest, ListRecordsResponse, Log, LogSummary,
};

/// Counts the bytes of logs, and keeps what callers said about themselves.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<Vec<Option<String>>>>);

impl Played {
    fn note<T>(&self, request: &Request<T>) {
        let said = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.0.lock().unwrap().push(said);
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap().last().cloned().expect("a call has come")
    }
}

type Chunks = Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<HttpBody, Status>> + Send>>;

#[tonic::async_trait]
impl Logs for Played {
    type GetLogStream = Chunks;

    async fn get_log(&self, _: Request<GetLogRequest>) -> Result<Response<Chunks>, Status> {
        Err(Status::not_found("Log doesn't exist"))
    }

    async fn list_logs(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        self.note(&request);
        Ok(Response::new(ListRecordsResponse::default()))
    }

    async fn update_log(&self, request: Request<Streaming<Log>>) -> Result<Response<LogSummary>, Status> {
        self.note(&request);
        let mut messages = request.into_inner();
        let mut summary = LogSummary::default();
        while let Some(log) = messages.message().await? {
            summary.record = log.name;
            summary.bytes_received += i64::try_from(log.data.len()).unwrap();
        }
        Ok(Response::new(summary))
    }

    async fn delete_log(&self, _: Request<DeleteLogRequest>) -> Result<Response<()>, Status> {
        Err(Status::permission_denied("no"))
    }
}

struct Server {
    address: SocketAddr,
    played: Played,
    handle: Handle<SocketAddr>,
}

/// Serves on a port with a certificate of this authority; port 0 is a free one.
fn serve(authority: &Authority, port: u16) -> Server {
    let leaf = authority.server("api", &["localhost", "127.0.0.1"]).unwrap();
    let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let played = Played::default();
    let router = tonic::service::Routes::new(LogsServer::new(played.clone())).prepare().into_axum_router();
    let handle = Handle::new();
    let server = from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config))).unwrap();
    tokio::spawn(server.handle(handle.clone()).serve(router.into_make_service()));
    Server { address, played, handle }
}

fn transport(server: &Server, folder: &Path, token: Token) -> Transport {
    named(server, folder, None, token).unwrap()
}

fn named(server: &Server, folder: &Path, name: Option<&str>, token: Token) -> Result<Transport, Error> {
    let (ca, server_name) = (Some(folder.join("ca.crt")), name.map(str::to_owned));
    Transport::new(Settings { address: server.address.to_string(), ca, server_name, token })
}

async fn list(transport: &Transport) -> Result<(), Status> {
    transport.logs().list_logs(ListRecordsRequest::default()).await.map(|_| ())
}

#[tokio::test]
async fn streams_a_log_with_the_token_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca").unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
    std::fs::write(folder.path().join("token"), "abc.def\n").unwrap();
    let server = serve(&authority, 0);
    let transport = transport(&server, folder.path(), Token::File(folder.path().join("token")));
    let piece = Log { name: "ns/results/r/logs/l".into(), data: vec![7; 32 << 10].into() };
    let messages = tonic::codegen::tokio_stream::iter(vec![piece; 100]);
    let summary = transport.logs().update_log(messages).await.unwrap().into_inner();
    assert_eq!(summary.bytes_received, 100 * (32 << 10));
    assert_eq!(server.played.last().as_deref(), Some("Bearer abc.def"));
}

#[tokio::test]
async fn takes_up_a_new_token_and_keeps_the_old_while_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let source = token::Source::new(Token::File(path.clone())).unwrap();
    assert_eq!(source.bearer().await.unwrap_err().code(), Code::Unavailable);
    std::fs::write(&path, "one").unwrap();
    assert_eq!(source.bearer().await.unwrap().unwrap(), "Bearer one");
    std::fs::write(&path, "two\n").unwrap();
    assert_eq!(source.bearer().await.unwrap().unwrap(), "Bearer one");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(source.bearer().await.unwrap().unwrap(), "Bearer two");
    for damaged in ["", "two\nlines"] {
        std::fs::write(&path, damaged).unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(source.bearer().await.unwrap().unwrap(), "Bearer two");
    }
    assert!(!format!("{source:?}").contains("two"), "{source:?}");
}

#[tokio::test]
async fn trusts_the_authorities_that_are_in_the_file_now() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new("first").unwrap(), Authority::new("second").unwrap());
    let server = serve(&second, 0);
    let transport = transport(&server, folder.path(), Token::None);
    let missing = list(&transport).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unavailable, "{missing:?}");
    std::fs::write(folder.path().join("ca.crt"), first.cert_pem()).unwrap();
    assert_eq!(list(&transport).await.unwrap_err().code(), Code::Unavailable);
    std::fs::write(folder.path().join("ca.crt"), second.cert_pem()).unwrap();
    list(&transport).await.unwrap();
    assert_eq!(server.played.last(), None);
}

#[tokio::test]
async fn believes_the_certificate_of_the_name_that_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca").unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
    let server = serve(&authority, 0);
    let of = |name| named(&server, folder.path(), Some(name), Token::None);
    list(&of("localhost").unwrap()).await.unwrap();
    // The address is in the certificate, which no longer matters.
    assert_eq!(list(&of("another.test").unwrap()).await.unwrap_err().code(), Code::Unavailable);
    assert!(of("no name").unwrap_err().to_string().contains("`no name`"));
}

#[tokio::test]
async fn comes_back_to_a_server_that_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca").unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
    let server = serve(&authority, 0);
    let transport = transport(&server, folder.path(), Token::Text("t".into()));
    list(&transport).await.unwrap();
    server.handle.shutdown();
    testkit::eventually(testkit::DEADLINE, "calls to fail", async || {
        anyhow::ensure!(list(&transport).await.is_err());
        Ok(())
    })
    .await
    .unwrap();
    let server = serve(&authority, server.address.port());
    testkit::eventually(testkit::DEADLINE, "calls to succeed", async || Ok(list(&transport).await?))
        .await
        .unwrap();
    assert_eq!(server.played.last().as_deref(), Some("Bearer t"));
}

#[rstest]
#[case::no_host("https://")]
#[case::other_scheme("ftp://api:1")]
#[case::path("https://api/apis")]
#[case::blank("a b:1")]
#[case::empty("")]
#[case::password("https://a:b@api:1")]
fn refuses_addresses(#[case] address: &str) {
    let error = uri(address).unwrap_err();
    assert!(error.to_string().contains("https://host:port"), "{error}");
}

#[rstest]
#[case::plain("http://api:8080", Token::Text("t".into()), false)]
#[case::plain_file("http://10.0.0.1:8080", Token::File("/t".into()), false)]
#[case::plain_without_token("http://api:8080", Token::None, true)]
#[case::plain_at_home("http://127.0.0.1:8080", Token::Text("t".into()), true)]
#[case::plain_at_home_by_six("http://[::1]:8080", Token::Text("t".into()), true)]
#[case::encrypted("api:8080", Token::Text("t".into()), true)]
#[case::bad_token("api:8080", Token::Text("a\nb".into()), false)]
#[tokio::test]
async fn sends_no_token_unencrypted(#[case] address: &str, #[case] token: Token, #[case] works: bool) {
    let settings = Settings { address: address.into(), ca: None, server_name: None, token };
    assert_eq!(Transport::new(settings).is_ok(), works);
}
