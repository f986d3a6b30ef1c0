//! Tokens that are no good here, though they look like those that are.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use results_api::v1alpha2::ListResultsRequest;
use results_api::v1alpha2::results_client::ResultsClient;
use serde_json::{Value, json};
use tonic::Code;

use crate::parity::{channel, with_token};
use crate::server::Server;

/// Of a JWT.
struct Parts {
    head: String,
    claims: Value,
    signature: String,
}

impl Parts {
    fn of(token: &str) -> Self {
        let [head, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            unreachable!("{token}")
        };
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        Self { head: head.to_owned(), claims, signature: signature.to_owned() }
    }

    fn unsigned(&self) -> String {
        format!("{}.{}", self.head, URL_SAFE_NO_PAD.encode(self.claims.to_string()))
    }

    /// With the key that the API server signs with.
    fn signed(&self, key: &EcdsaKeyPair) -> String {
        let unsigned = self.unsigned();
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = key.sign(&random, unsigned.as_bytes()).unwrap();
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The key of the control plane's tokens.
fn key(server: &Server) -> EcdsaKeyPair {
    let pem = std::fs::read_to_string(server.plane.kubeconfig().with_file_name("tokens.key")).unwrap();
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap()
}

async fn codes(server: &Server, namespace: &str, token: &str) -> (StatusCode, Value, Option<Code>) {
    let by_rest = server.get(token, &format!("{namespace}/results")).await;
    let mut client = ResultsClient::new(channel(server).await);
    let list = ListResultsRequest { parent: namespace.to_owned(), ..ListResultsRequest::default() };
    let by_grpc = client.list_results(with_token(token, list)).await;
    (by_rest.status, by_rest.body["code"].clone(), by_grpc.err().map(|status| status.code()))
}

#[tokio::test]
async fn an_expired_token_is_none() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("expired").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let (key, mut parts) = (key(&server), Parts::of(&token));
    // That the signature is right is shown by a token with the same claims.
    assert_eq!(codes(&server, &namespace, &parts.signed(&key)).await, (StatusCode::OK, Value::Null, None));
    for time in ["exp", "iat", "nbf"] {
        parts.claims[time] = json!(parts.claims[time].as_i64().unwrap() - 7200);
    }
    let refused = codes(&server, &namespace, &parts.signed(&key)).await;
    assert_eq!(refused, (StatusCode::UNAUTHORIZED, json!(16), Some(Code::Unauthenticated)));
}

#[tokio::test]
async fn a_token_for_somebody_else_is_none() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("audience").await.unwrap();
    server.user(&namespace, "reader", "get, list").await;
    for audiences in [&["registry"][..], &["results-api"], &["registry", "vault"]] {
        let token = server.plane.token_of(&namespace, "reader", audiences).await.unwrap();
        let refused = codes(&server, &namespace, &token).await;
        let expected = (StatusCode::UNAUTHORIZED, json!(16), Some(Code::Unauthenticated));
        assert_eq!(refused, expected, "{audiences:?}");
    }
    let own = "https://kubernetes.default.svc";
    let token = server.plane.token_of(&namespace, "reader", &["registry", own]).await.unwrap();
    assert_eq!(codes(&server, &namespace, &token).await, (StatusCode::OK, Value::Null, None));
}

#[tokio::test]
async fn a_forged_token_is_none() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("forgery").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let stranger = server.user(&namespace, "stranger", "").await;
    let own = Parts::of(&stranger);
    let theirs = Parts::of(&token);
    let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none" }).to_string());
    for (why, forged) in [
        ("claims of another under one's own signature", format!("{}.{}", theirs.unsigned(), own.signature)),
        ("no signature", format!("{}.", theirs.unsigned())),
        ("no algorithm", format!("{none}.{}.", token.split('.').nth(1).unwrap())),
        ("something behind its end", format!("{token}{}", "A".repeat(8000))),
    ] {
        let refused = codes(&server, &namespace, &forged).await;
        let expected = (StatusCode::UNAUTHORIZED, json!(16), Some(Code::Unauthenticated));
        assert_eq!(refused, expected, "{why}");
    }
    let refused = codes(&server, &namespace, &stranger).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, json!(7), Some(Code::PermissionDenied)));
}
