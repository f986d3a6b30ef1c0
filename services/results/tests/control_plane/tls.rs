//! The certificate of the port (scenario 17).

use std::path::Path;

use reqwest::Certificate;
use testkit::pki::Authority;
use testkit::postgres::Postgres;
use testkit::{DEADLINE, eventually};

use crate::server::Server;

fn issue(folder: &Path, name: &str) -> Certificate {
    let authority = Authority::new(name).unwrap();
    let leaf = authority.server("results", &["localhost", "127.0.0.1"]).unwrap();
    std::fs::write(folder.join("tls.key"), leaf.key_pem).unwrap();
    std::fs::write(folder.join("tls.crt"), leaf.cert_pem).unwrap();
    Certificate::from_pem(authority.cert_pem().as_bytes()).unwrap()
}

async fn healthz(server: &Server, authority: &Certificate) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().tls_certs_only([authority.clone()]).build()?;
    let answer = client.get(format!("{}/healthz", server.url)).send().await?;
    anyhow::ensure!(answer.status().is_success(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = issue(folder.path(), "first");
    let database = Postgres::database().await.unwrap();
    let server = Server::with(&database, folder.path(), &["--auth-disable"]).await;
    healthz(&server, &first).await.unwrap();

    let second = issue(folder.path(), "second");
    assert!(healthz(&server, &second).await.is_err());
    eventually(DEADLINE, "the new certificate to be served", async || healthz(&server, &second).await)
        .await
        .unwrap();
    assert!(healthz(&server, &first).await.is_err());
}
