//! The webhook server as the API server and its clients see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::webhook::{Operation, Review, Verdict, Webhooks};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use parking_lot::Mutex;
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_gone};

use crate::admin;
use crate::served::{Checked, Kind, PATH, Served, refusal, requests, timing};

type Reviews = Arc<Mutex<Vec<Review<ConfigMap>>>>;

/// Refuses names that begin with `bad`, warns of those that begin with `odd`, and remembers what it was asked.
fn strict(reviews: &Reviews) -> Webhooks {
    let reviews = reviews.clone();
    Webhooks::new().validate(PATH, move |review: &Review<ConfigMap>| {
        reviews.lock().push(review.clone());
        match &review.name {
            name if name.starts_with("bad") => {
                Verdict::deny(format!("metadata.name {name:?} begins with \"bad\";\n name it \"good\""))
            }
            name if name.starts_with("odd") => {
                Verdict::AllowWithWarnings(vec!["odd names go away".to_owned()])
            }
            _ => Verdict::Allow,
        }
    })
}

#[tokio::test]
async fn denies_with_the_reason_and_allows_the_rest() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let reviews = Reviews::default();
    let served = Served::start(&client, &namespace, Kind::Validating, strict(&reviews), timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;
    assert!(*served.ready.borrow());

    let (code, message) = refusal(maps.create("bad-name").await);
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "admission webhook \"check.konflux.test\" denied the request: metadata.name \"bad-name\" begins with \
         \"bad\"; name it \"good\""
    );
    maps.create("good-name").await.unwrap();
    maps.create("odd-name").await.unwrap();
    maps.merge("good-name", json!({ "data": { "key": "new" } })).await.unwrap();

    let reviews = reviews.lock();
    let update =
        reviews.iter().find(|review| review.operation == Operation::Update).expect("an update came by");
    let key = |object: &Option<ConfigMap>| object.as_ref().unwrap().data.as_ref().unwrap()["key"].clone();
    assert_eq!((key(&update.old_object), key(&update.object)), ("value".to_owned(), "new".to_owned()));
    assert_eq!(update.namespace.as_deref(), Some(namespace.name()));
    assert!(update.user.groups.iter().flatten().any(|group| group == "system:masters"), "{:?}", update.user);
    assert!(requests(&served.registry, "200") >= 4);
}

#[tokio::test]
async fn tells_a_dry_run() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let reviews = Reviews::default();
    let served = Served::start(&client, &namespace, Kind::Validating, strict(&reviews), timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    maps.dry_run("rehearsed").await.unwrap();
    maps.create("real").await.unwrap();
    let dry_run =
        |name| reviews.lock().iter().find(|review| review.name == name).map(|review| review.dry_run);
    assert_eq!((dry_run("rehearsed"), dry_run("real")), (Some(true), Some(false)));
}

#[tokio::test]
async fn patches_what_is_stored() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let webhooks = Webhooks::new().mutate_async(PATH, async |review: Arc<Review<ConfigMap>>| {
        let who = review.user.username.clone();
        let patch = json!([{ "op": "add", "path": "/metadata/labels/created-by", "value": who.map(|w| w.replace(':', ".")) }]);
        Verdict::Patch(serde_json::from_value(patch).unwrap())
    });
    let served = Served::start(&client, &namespace, Kind::Mutating, webhooks, timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    maps.create("patched").await.unwrap();
    let stored = maps.api.get("patched").await.unwrap();
    assert!(stored.labels().contains_key("created-by"), "{:?}", stored.labels());
}

#[tokio::test]
async fn a_panic_refuses_one_request_and_no_more() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let webhooks = Webhooks::new().validate(PATH, |review: &Review<ConfigMap>| {
        assert!(!review.name.starts_with("bomb"), "internals");
        Verdict::Allow
    });
    let served = Served::start(&client, &namespace, Kind::Validating, webhooks, timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    let (code, message) = refusal(maps.create("bomb").await);
    assert_eq!(code, 500);
    assert!(message.ends_with("the webhook /check failed on this object; its log says more"), "{message}");
    maps.create("harmless").await.unwrap();
}

#[tokio::test]
async fn lets_invalid_objects_go() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let strict = Arc::new(AtomicBool::new(false));
    let webhooks = Webhooks::new().validate(PATH, {
        let strict = strict.clone();
        move |_: &Review<ConfigMap>| {
            if strict.load(Ordering::Relaxed) {
                Verdict::deny("everything is invalid now")
            } else {
                Verdict::Allow
            }
        }
    });
    let served = Served::start(&client, &namespace, Kind::Validating, webhooks, timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;
    maps.create("held").await.unwrap();
    maps.merge("held", json!({ "metadata": { "finalizers": ["konflux.test/hold"] } })).await.unwrap();

    strict.store(true, Ordering::Relaxed);
    maps.api.delete("held", &DeleteParams::default()).await.unwrap();
    let (code, _) = refusal(maps.merge("held", json!({ "data": { "key": "other" } })).await);
    assert_eq!(code, 403, "a dying object is still checked");
    maps.merge("held", json!({ "metadata": { "finalizers": null } })).await.unwrap();
    wait_gone(&maps.api, "held", DEADLINE).await.unwrap();
}

#[tokio::test]
async fn answers_what_is_no_review_with_a_status() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let reviews = Reviews::default();
    let mut served = Served::start(&client, &namespace, Kind::Validating, strict(&reviews), timing()).await;
    tokio::time::timeout(DEADLINE, served.ready.wait_for(|ready| *ready))
        .await
        .expect("it is ready")
        .unwrap();

    let name = format!("shop.{namespace}.svc");
    let authorities = reqwest::Certificate::from_pem_bundle(served.certificate().ca_pem.as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only(authorities)
        .resolve(&name, served.address)
        .build()
        .unwrap();
    let url = format!("https://{name}:{}", served.address.port());
    let post = async |path: &str, body: Vec<u8>| {
        let response = http.post(format!("{url}{path}")).body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };

    let (status, body) = post(PATH, b"{\"kind\": ".to_vec()).await;
    assert_eq!(status, 400);
    assert!(body.starts_with("no AdmissionReview: "), "{body}");
    assert_eq!(post(PATH, b"{}".to_vec()).await.0, 400);
    assert_eq!(post("/another", Vec::new()).await.0, 404);
    assert_eq!(post(PATH, vec![b' '; 4 * 1024 * 1024 + 1]).await.0, 413);
    assert_eq!(http.get(format!("{url}{PATH}")).send().await.unwrap().status(), 405);
    assert_eq!((requests(&served.registry, "400"), requests(&served.registry, "413")), (2, 1));
}

#[tokio::test]
async fn ends_when_cancelled_after_the_request_in_hand() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("webhook").await.unwrap();
    let (entered, mut in_hand) = tokio::sync::mpsc::unbounded_channel();
    let may_answer = Arc::new(tokio::sync::Notify::new());
    let webhooks = Webhooks::new().validate_async(PATH, {
        let may_answer = may_answer.clone();
        move |review: Arc<Review<ConfigMap>>| {
            let (entered, may_answer) = (entered.clone(), may_answer.clone());
            async move {
                if review.name == "slow" {
                    entered.send(()).ok();
                    may_answer.notified().await;
                }
                Verdict::Allow
            }
        }
    });
    let served = Served::start(&client, &namespace, Kind::Validating, webhooks, timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    let slow = tokio::spawn(async move { maps.create("slow").await });
    in_hand.recv().await.unwrap();
    served.cancel.cancel();
    let mut ready = served.ready.clone();
    tokio::time::timeout(DEADLINE, ready.wait_for(|ready| !ready)).await.expect("it is not ready").unwrap();
    eventually(DEADLINE, "new connections to be refused", async || {
        let connected = tokio::net::TcpStream::connect(served.address).await;
        anyhow::ensure!(connected.is_err(), "still listening");
        Ok(())
    })
    .await
    .unwrap();
    may_answer.notify_one();
    slow.await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(9), served.serving).await.expect("it ends").unwrap().unwrap();
}
