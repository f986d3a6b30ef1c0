//! Scenario 13 and TLS everywhere: towards the forge, towards back ends, for metrics.

use std::path::Path;

use testkit::pki::Authority;

use crate::backend::Backend;
use crate::proxy::{PATIENCE, Proxy, SECRET, signed};

fn write(folder: &Path, authority: &Authority) {
    let leaf = authority.server("proxy.test", &["proxy.test"]).unwrap();
    std::fs::write(folder.join("tls.crt"), leaf.cert_pem).unwrap();
    std::fs::write(folder.join("tls.key"), leaf.key_pem).unwrap();
}

fn trusting(authority: &Authority, address: &str) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(authority.cert_pem().as_bytes()).unwrap();
    let address = address.parse().unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .resolve("proxy.test", address)
        .build()
        .unwrap()
}

#[tokio::test]
async fn webhooks_and_metrics_are_served_over_tls() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test").unwrap());
    write(folder.path(), &authority);
    let path = |file: &str| folder.path().join(file).display().to_string();
    let flags = [
        format!("--tls-cert-dir={}", path("")),
        format!("--metrics-cert={}", path("tls.crt")),
        format!("--metrics-key={}", path("tls.key")),
    ];
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &flags.each_ref().map(String::as_str)).await;
    let ready = testkit::eventually(PATIENCE, "the service to be ready", async || {
        anyhow::ensure!(reqwest::get(&proxy.health).await?.status().is_success());
        Ok(())
    });
    ready.await.unwrap();
    let address = proxy.url.trim_start_matches("https://");
    let port = address.rsplit(':').next().unwrap();
    let answer = trusting(&authority, address)
        .post(format!("https://proxy.test:{port}/"))
        .headers(signed(SECRET, b"{}", "d"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=63072000");
    backend.wait(1).await;
    let address = proxy.metrics.trim_start_matches("https://").trim_end_matches("/metrics");
    let port = address.rsplit(':').next().unwrap();
    let text =
        trusting(&authority, address).get(format!("https://proxy.test:{port}/metrics")).send().await.unwrap();
    assert!(text.text().await.unwrap().contains("sprayproxy_http_inbound_requests_total 1"));
}

/// A back end with a certificate that nobody has heard of, unless a bundle names its authority.
#[tokio::test]
async fn certificates_of_back_ends_are_verified() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test").unwrap());
    let leaf = authority.server("localhost", &["localhost", "127.0.0.1"]).unwrap();
    // Another sprayproxy is the back end.
    let inner = Backend::start().await;
    std::fs::write(folder.path().join("tls.crt"), leaf.cert_pem).unwrap();
    std::fs::write(folder.path().join("tls.key"), leaf.key_pem).unwrap();
    let serve = format!("--tls-cert-dir={}", folder.path().display());
    let target = Proxy::start(&[&inner.url()], &[&serve]).await;
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let trusts = format!("--ca-bundle={}", bundle.display());
    for (flags, expected) in
        [(vec![], 502), (vec![trusts.as_str()], 200), (vec!["--insecure-skip-tls-verify"], 200)]
    {
        let proxy = Proxy::start(&[&target.url], &flags).await;
        let what = format!("{expected} with {flags:?}");
        let delivered = testkit::eventually(PATIENCE, &what, async || {
            let (status, _) = proxy.deliver("/", b"{}".to_vec(), "d").await;
            anyhow::ensure!(status == expected, "HTTP {status}");
            Ok(())
        });
        delivered.await.unwrap();
    }
}
