//! sprayproxy under test, in this process, and the forge that calls it.

use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use reqwest::header::HeaderMap;
use sprayproxy::{Args, Error, Service};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For what should happen at once, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "hunter2";

/// A running service.
pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) metrics: String,
    pub(crate) health: String,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), Error>>,
    /// One for all calls: making one reads the system's certificates, which takes longer than a call.
    pub(crate) client: reqwest::Client,
    folder: TempDir,
}

impl Proxy {
    /// With these back ends and further flags, GitHub's secret, and ports of its own.
    pub(crate) async fn start(backends: &[&str], flags: &[&str]) -> Self {
        Self::try_start(backends, flags).await.unwrap()
    }

    pub(crate) async fn try_start(backends: &[&str], flags: &[&str]) -> Result<Self, Error> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("GH_APP_WEBHOOK_SECRET"), SECRET).unwrap();
        let own = [
            "sprayproxy".to_owned(),
            "--host=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            format!("--metrics-port={}", testkit::free_port().unwrap()),
            format!("--secrets-dir={}", folder.path().display()),
        ];
        let backends = backends.iter().map(|backend| format!("--backend={backend}"));
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let args = Args::try_parse_from(own.into_iter().chain(backends).chain(flags)).unwrap();
        let scheme = |is_tls| if is_tls { "https" } else { "http" };
        let (url_scheme, metrics_scheme) =
            (scheme(args.tls_cert_dir.is_some()), scheme(!args.metrics_cert.is_empty()));
        let stop = CancellationToken::new();
        let service = Service::start(args, stop.clone()).await?;
        let (url, metrics) = (service.webhooks(), service.metrics());
        Ok(Self {
            url: format!("{url_scheme}://{url}"),
            metrics: format!("{metrics_scheme}://{metrics}/metrics"),
            health: format!("http://{}/readyz", service.health()),
            stop,
            ended: tokio::spawn(service.run()),
            client: client(),
            folder,
        })
    }

    /// Where its secrets are.
    pub(crate) fn secrets(&self) -> &Path {
        self.folder.path()
    }

    /// Sends a signed webhook.
    pub(crate) async fn deliver(&self, path: &str, body: Vec<u8>, delivery: &str) -> (u16, String) {
        let headers = signed(SECRET, &body, delivery);
        self.post(path, body, headers).await
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>, headers: HeaderMap) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.url)).headers(headers).body(body).send();
        let answer = timeout(PATIENCE, request).await.expect("an answer").unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Value of a metric with this beginning of a line.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let text = self.client.get(&self.metrics).send().await.unwrap().text().await.unwrap();
        text.lines().filter_map(|shown| shown.strip_prefix(line)?.trim().parse::<f64>().ok()).sum()
    }

    /// Waits until a metric is this.
    pub(crate) async fn metric_becomes(&self, line: &str, expected: f64) {
        let what = format!("{line} to be {expected}");
        let reached = testkit::eventually(PATIENCE, &what, async || {
            let value = self.metric(line).await;
            anyhow::ensure!((value - expected).abs() < f64::EPSILON, "it is {value}");
            Ok(())
        });
        reached.await.unwrap();
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.ended).await.expect("it ends").unwrap().unwrap();
    }
}

pub(crate) fn client() -> reqwest::Client {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Headers of GitHub.
pub(crate) fn signed(secret: &str, body: &[u8], delivery: &str) -> HeaderMap {
    let signature = format!("sha256={}", hmac(aws_lc_rs::hmac::HMAC_SHA256, secret, body));
    headers(&[
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature),
    ])
}

pub(crate) fn hmac(algorithm: aws_lc_rs::hmac::Algorithm, secret: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(algorithm, secret.as_bytes());
    data_encoding::HEXLOWER.encode(aws_lc_rs::hmac::sign(&key, body).as_ref())
}

pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}
