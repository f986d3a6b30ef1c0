//! A database that goes away and comes back (scenario 12).

use http::StatusCode;
use serde_json::json;
use testkit::postgres::Postgres;
use testkit::{DEADLINE, eventually};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{Server, result};

#[tokio::test]
async fn without_its_database_it_says_so_and_recovers() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &["--auth-disable"]).await;
    server.post("", "default/results", result("default", "first")).await;
    let mut checks = HealthClient::new(crate::parity::channel(&server).await);
    let mut status = async || {
        let service = "tekton.results.v1alpha2.Results".to_owned();
        checks.check(HealthCheckRequest { service }).await.unwrap().into_inner().status
    };
    assert_eq!(status().await, 1, "serving");

    postgres.stop().await.unwrap();
    server.ready(false).await;
    let health = server.get("", "/healthz").await;
    assert_eq!(
        (health.status, &health.body),
        (StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "NOT_SERVING" }))
    );
    assert_eq!(status().await, 2, "not serving");
    let alive = reqwest::get(format!("{}/healthz", server.health)).await.unwrap();
    assert!(alive.status().is_success(), "the process itself is well");
    for path in ["default/results", "default/results/-/records", "default/results/-/records/summary"] {
        let failed = server.get("", path).await;
        assert!(failed.status.is_server_error(), "{path}: {failed:?}");
    }

    postgres.start_again().await.unwrap();
    server.ready(true).await;
    let listed = async || {
        let listed = server.get("", "default/results").await;
        anyhow::ensure!(listed.status == StatusCode::OK, "{listed:?}");
        Ok(listed.body["results"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(eventually(DEADLINE, "lists to be answered", listed).await.unwrap(), 1);
    assert_eq!(status().await, 1, "serving again");
}
