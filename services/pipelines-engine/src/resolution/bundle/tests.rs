//! Against a registry over TLS.

use fleet::outbound::{self, Options};
use pipelines_engine_api::Param;
use rstest::rstest;
use testkit::pki::Authority;
use testkit::registry::{BundleLayer, PlayedRegistry};

use super::*;

struct World {
    played: PlayedRegistry,
    registry: registry::Client,
    client: kube::Client,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let authority = Authority::new("bundle-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let options =
        Options { allow: "127.0.0.1".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
    let metrics = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &metrics).unwrap();
    // Nothing here asks the API server.
    let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("not to be called"))
    });
    World {
        played: PlayedRegistry::start(&authority).unwrap(),
        registry: registry::Client::new(outbound),
        client: kube::Client::new(nobody, "tenant"),
        _folder: folder,
    }
}

fn layer<'a>(kind: &'a str, name: &'a str, content: &str) -> BundleLayer<'a> {
    BundleLayer { kind, name, content: content.as_bytes().to_vec() }
}

fn parse(params: &[(&str, &str)]) -> Result<BundleQuestion, String> {
    let params: Vec<_> = params.iter().map(|(name, value)| Param::new(*name, *value)).collect();
    BundleQuestion::parse("tenant", Params::new(&params), &BundleSettings::default())
}

impl World {
    async fn resolve(&self, bundle: &str, kind: &str, name: &str) -> Result<Resource, Failure> {
        let bundle = format!("{}/{bundle}", self.played.address());
        let question = parse(&[("bundle", &bundle), ("kind", kind), ("name", name)]).unwrap();
        question.resolve(&self.client, &self.registry).await
    }
}

#[tokio::test]
async fn scenario_20_finds_the_layer_by_kind_and_name() {
    let world = world();
    let layers = [layer("pipeline", "build", "kind: Pipeline"), layer("task", "build", "kind: Task")];
    let digest = world.played.push_bundle("tasks", "v1", &layers);
    let found = world.resolve("tasks:v1", "Task", "build").await.unwrap();
    assert_eq!(found.data, b"kind: Task");
    assert_eq!(found.source.uri, format!("{}/tasks", world.played.address()));
    assert_eq!(format!("sha256:{}", found.source.digest["sha256"]), digest);
    assert_eq!(found.source.entry_point, "build");
    assert_eq!(found.annotations[KIND], "task");
    let found = world.resolve("tasks:v1", "pipeline", "build").await.unwrap();
    assert_eq!(found.data, b"kind: Pipeline");
    let error = world.resolve("tasks:v1", "task", "test").await.unwrap_err().to_string();
    assert!(error.contains("has no task \"test\""), "{error}");
    let error = world.resolve("gone:v1", "task", "test").await.unwrap_err();
    assert!(matches!(&error, Failure::Permanent(why) if why.contains("gone:v1")), "{error}");
}

#[tokio::test]
async fn refuses_what_is_no_bundle() {
    let world = world();
    let many: Vec<_> = (0..21).map(|_| layer("task", "a", "kind: Task")).collect();
    world.played.push_bundle("many", "v1", &many);
    let error = world.resolve("many:v1", "task", "a").await.unwrap_err().to_string();
    assert!(error.contains("21 layers, more than 20"), "{error}");
    world.played.push_bundle("most", "v1", &many[..20]);
    world.resolve("most:v1", "task", "a").await.unwrap();
    let images: [(&str, &[&str], &[&str]); 2] = [("linux/amd64", &[], &[]), ("linux/arm64", &[], &[])];
    world.played.push_image("index", "v1", &images);
    let error = world.resolve("index:v1", "task", "a").await.unwrap_err().to_string();
    assert!(error.contains("an index of images"), "{error}");
    let large = "x".repeat(usize::try_from(MAX_LAYER).unwrap() + 1);
    world.played.push_bundle("large", "v1", &[layer("task", "a", &large)]);
    let error = world.resolve("large:v1", "task", "a").await.unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

#[rstest]
#[case::no_bundle(&[("name", "a")], "\"bundle\" is missing")]
#[case::no_name(&[("bundle", "r.test/a")], "\"name\" is missing")]
#[case::no_reference(&[("bundle", "r.test/A"), ("name", "a")], "no image reference")]
fn checks_params(#[case] params: &[(&str, &str)], #[case] why: &str) {
    let error = parse(params).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn who_brings_a_secret_shares_its_answer_with_nobody() {
    let question = |namespace: &str, secret: &str| {
        let params =
            [Param::new("bundle", "r.test/a"), Param::new("name", "a"), Param::new("secret", secret)];
        BundleQuestion::parse(namespace, Params::new(&params), &BundleSettings::default()).unwrap()
    };
    assert_eq!(question("a", ""), question("b", ""));
    assert_eq!(question("a", "s"), question("a", "s"));
    assert_ne!(question("a", "s"), question("b", "s"));
    assert_ne!(question("a", "s"), question("a", ""));
}
