//! Against a registry over TLS; the API server's part is played by a client whose answers are given.

use std::convert::Infallible;
use std::time::Duration;

use fleet::outbound::{self, Options};
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

use super::*;

/// What a test waits for at most.
const DEADLINE: Duration = Duration::from_secs(30);

struct World {
    registry: PlayedRegistry,
    images: Images,
    woken: tokio::sync::mpsc::UnboundedReceiver<ObjectKey>,
    _folder: tempfile::TempDir,
}

/// In namespace `tenant` the account `builder` has the pull secret `robot`, and `template` is another.
fn world() -> World {
    let authority = Authority::new("image-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let registry = PlayedRegistry::start(&authority).unwrap();
    let options =
        Options { allow: "127.0.0.1".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
    let metrics = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &metrics).unwrap();
    let auths =
        json!({"auths": {registry.address(): {"username": "robot", "password": "secret"}}}).to_string();
    let secret = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": data_encoding::BASE64.encode(auths.as_bytes())},
        })
    };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"},
        "imagePullSecrets": [{"name": "gone"}, {"name": "robot"}],
    });
    let objects = vec![
        ("serviceaccounts/builder".to_owned(), account),
        ("secrets/robot".to_owned(), secret("robot")),
        ("secrets/template".to_owned(), secret("template")),
    ];
    let client = kube::Client::new(api(objects), "tenant");
    let (sender, woken) = tokio::sync::mpsc::unbounded_channel();
    let wake: Wake = Arc::new(move |key| drop(sender.send(key)));
    let images = Images::new(registry::Client::new(outbound), client, wake);
    World { registry, images, woken, _folder: folder }
}

/// An API server that has these objects in `tenant`.
fn api(
    objects: Vec<(String, Value)>,
) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let objects = Arc::new(objects);
    tower::service_fn(move |request: Request<Body>| {
        let objects = Arc::clone(&objects);
        async move {
            let path = request.uri().path().trim_start_matches("/api/v1/namespaces/tenant/").to_owned();
            let found = objects.iter().find(|(at, _)| *at == path).map(|(_, object)| object.clone());
            let (status, body) = match found {
                Some(object) => (StatusCode::OK, object),
                None => (
                    StatusCode::NOT_FOUND,
                    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "gone"}),
                ),
            };
            let body = Body::from(body.to_string().into_bytes());
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    })
}

impl World {
    fn ask(&self, account: &str, template: &[&str], reference: &str) -> Awaited<Image> {
        let key = ObjectKey::new("tenant", "run");
        let template: Vec<_> = template.iter().map(|name| (*name).to_owned()).collect();
        let reference = format!("{}/{reference}", self.registry.address());
        self.images.get(&key, "tenant", account, &template, &reference)
    }

    async fn woken(&mut self) {
        let key = timeout(DEADLINE, self.woken.recv()).await.unwrap().unwrap();
        assert_eq!(key, ObjectKey::new("tenant", "run"));
    }

    /// Asks, waits to be woken, asks again.
    async fn find(&mut self, account: &str, template: &[&str], reference: &str) -> Awaited<Image> {
        assert_eq!(self.ask(account, template, reference), Awaited::Later);
        self.woken().await;
        self.ask(account, template, reference)
    }
}

fn failure(found: Awaited<Image>) -> String {
    match found {
        Awaited::Failed(why) => why,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn scenario_16_finds_the_program_of_each_platform_and_pins_the_digest() {
    let mut world = world();
    let platforms: [(&str, &[&str], &[&str]); 3] = [
        ("linux/amd64", &["/app"], &["-x"]),
        ("linux/arm/v7", &[], &["/bin/sh"]),
        ("unknown/unknown", &[], &[]),
    ];
    let digest = world.registry.push_image("app", "v1", &platforms);
    let Awaited::Ready(image) = world.find("default", &[], "app:v1").await else { panic!("not found") };
    assert_eq!(image.reference, format!("{}/app@{digest}", world.registry.address()));
    let names: Vec<_> = image.platforms.keys().map(String::as_str).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm/v7"]);
    assert_eq!(image.platforms["linux/amd64"].entrypoint, ["/app"]);
    assert_eq!(image.platforms["linux/arm/v7"].command, ["/bin/sh"]);

    // Another account's pods ask for the manifest themselves, and find what is below it known.
    let before = world.registry.calls().len();
    assert!(matches!(world.find("another", &[], "app:v1").await, Awaited::Ready(_)));
    let calls = world.registry.calls()[before..].to_vec();
    assert!(calls.iter().any(|path| path.ends_with("/manifests/v1")), "{calls:?}");
    assert!(!calls.iter().any(|path| path.contains("/blobs/")), "{calls:?}");
}

#[tokio::test]
async fn scenario_16_a_private_image_is_for_those_who_have_its_secret() {
    let mut world = world();
    world.registry.push_image("private", "v1", &[("linux/amd64", &["/app"], &[])]);
    world.registry.lock("private", "robot", "secret");
    assert!(matches!(world.find("builder", &[], "private:v1").await, Awaited::Ready(_)));
    assert!(matches!(world.find("default", &["template"], "private:v1").await, Awaited::Ready(_)));
    let why = failure(world.find("default", &[], "private:v1").await);
    assert!(why.contains("private:v1") && why.contains("pull secret"), "{why}");
}

#[tokio::test]
async fn says_what_is_missing_or_wrong() {
    let mut world = world();
    let why = failure(world.find("default", &[], "gone:v1").await);
    assert!(
        why.starts_with("[User error]") && why.contains("gone:v1") && why.contains("no such thing"),
        "{why}"
    );
    let why = failure(world.ask("default", &[], "App:v1"));
    assert!(why.contains("no image reference"), "{why}");
}

#[tokio::test]
async fn scenario_16_a_dead_registry_blocks_nobody() {
    let mut world = world();
    let key = ObjectKey::new("tenant", "dead");
    let dead = || world.images.get(&key, "tenant", "default", &[], "127.0.0.1:1/app:v1");
    assert_eq!(dead(), Awaited::Later);
    assert_eq!(timeout(DEADLINE, world.woken.recv()).await.unwrap(), Some(key.clone()));
    // It is tried again, and never an error of the run's own.
    let dead = world.images.get(&key, "tenant", "default", &[], "127.0.0.1:1/app:v1");
    assert_eq!(dead, Awaited::Later);
    world.registry.push_image("app", "v1", &[("linux/amd64", &["/app"], &[])]);
    assert_eq!(world.ask("default", &[], "app:v1"), Awaited::Later);
    loop {
        let woken = timeout(DEADLINE, world.woken.recv()).await.unwrap().unwrap();
        if woken.name == "run" {
            break;
        }
    }
    assert!(matches!(world.ask("default", &[], "app:v1"), Awaited::Ready(_)));
}
