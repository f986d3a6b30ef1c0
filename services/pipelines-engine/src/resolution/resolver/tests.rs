//! What holds for every resolver: where it may not go, how long it may take, and that nobody waits for another.

use fleet::outbound::Options;
use pipelines_engine_api::Param;
use rstest::rstest;
use testkit::git_server::GitServer;
use testkit::pki::Authority;
use testkit::registry::{BundleLayer, PlayedRegistry};
use testkit::{DEADLINE, eventually};

use super::*;
use crate::resolution::settings::GitSettings;

/// Asks nobody but who is allowed.
fn resolver(allow: &str, ca_pem: Option<&str>) -> Resolver {
    let options = Options { allow: allow.parse().unwrap(), ..Options::default() };
    let registry = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &registry).unwrap();
    outbound.trust_further(ca_pem.unwrap_or_default()).unwrap();
    let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("the API server is away"))
    });
    Resolver::new(kube::Client::new(nobody, "tenant"), &outbound, Metrics::new(&registry).unwrap())
}

fn question(kind: &str, params: &[(&str, &str)], settings: &Settings) -> Result<Question, String> {
    let mut request = ResolutionRequest::default();
    request.metadata.namespace = Some("tenant".to_owned());
    request.metadata.labels = Some([(TYPE.as_str().to_owned(), kind.to_owned())].into());
    request.spec.params = params.iter().map(|(name, value)| Param::new(*name, *value)).collect();
    Question::of(&request, "resolvers", settings).unwrap()
}

fn git(url: &str) -> Question {
    question("git", &[("url", url), ("pathInRepo", "build.yaml")], &Settings::default()).unwrap()
}

fn bundle(name: &str) -> Question {
    question("bundles", &[("bundle", name), ("name", "build")], &Settings::default()).unwrap()
}

fn forge(server: &str) -> Question {
    let params = [
        ("repo", "tasks"),
        ("org", "a"),
        ("scmType", "gitea"),
        ("serverURL", server),
        ("revision", "main"),
        ("pathInRepo", "build.yaml"),
    ];
    question("git", &params, &Settings::default()).unwrap()
}

async fn find(resolver: &Resolver, question: Question) -> Looked<Answer> {
    resolver.clone().find(question, "tenant".to_owned()).await
}

fn failed(looked: Looked<Answer>) -> String {
    match looked {
        Looked::Known { answer: Answer::Failed(why), .. } => why,
        other => panic!("no lasting failure: {other:?}"),
    }
}

fn not_now(looked: Looked<Answer>) -> String {
    match looked {
        Looked::NotNow { answer: Answer::NotNow(why), .. } => why,
        other => panic!("not what may pass: {other:?}"),
    }
}

/// Security design, section 6.
#[rstest]
#[case::loopback("127.0.0.1")]
#[case::loopback_v6("[::1]")]
#[case::link_local("169.254.169.254")]
#[case::private("10.0.0.1")]
#[case::unspecified("0.0.0.0")]
#[tokio::test]
async fn no_resolver_goes_inside(#[case] host: &str) {
    let resolver = resolver("", None);
    let mut questions = vec![git(&format!("https://{host}/repo")), forge(&format!("https://{host}"))];
    // Names of images have no IPv6 addresses.
    if !host.starts_with('[') {
        questions.push(bundle(&format!("{host}/tasks:v1")));
    }
    for question in questions {
        let shown = format!("{question:?}");
        let why = failed(find(&resolver, question).await);
        assert!(why.contains("--outbound-allow"), "{shown}: {why}");
    }
}

#[rstest]
#[case::git("http://192.0.2.1/repo")]
#[case::forge("http://192.0.2.1")]
#[tokio::test]
async fn nothing_is_asked_for_without_tls_unless_it_is_allowed(#[case] url: &str) {
    let question = if url.ends_with("repo") { git(url) } else { forge(url) };
    let why = failed(find(&resolver("", None), question).await);
    assert!(why.contains("http"), "{why}");
}

fn of_cluster() -> Question {
    let params = [("name", "build"), ("namespace", "shared"), ("kind", "task")];
    question("cluster", &params, &Settings::default()).unwrap()
}

#[tokio::test]
async fn an_api_server_that_is_away_is_asked_again() {
    let why = not_now(find(&resolver("", None), of_cluster()).await);
    assert!(why.contains("\"shared\""), "{why}");
}

/// A registry that takes calls and says nothing.
fn stalled() -> (PlayedRegistry, Authority) {
    let authority = Authority::new("resolver-test").unwrap();
    let registry = PlayedRegistry::start(&authority).unwrap();
    let layer = BundleLayer { kind: "task", name: "build", content: b"kind: Task".to_vec() };
    registry.push_bundle("tasks", "v1", &[layer]);
    registry.stall(true);
    (registry, authority)
}

#[tokio::test]
async fn a_registry_that_never_answers_takes_its_time_only() {
    let (registry, authority) = stalled();
    let resolver = resolver("127.0.0.1", Some(authority.cert_pem()));
    let asked = bundle(&format!("{}/tasks:v1", registry.address()));
    let looking = tokio::spawn(async move { find(&resolver, asked).await });
    eventually(DEADLINE, "the call to arrive", async || {
        anyhow::ensure!(!registry.calls().is_empty());
        Ok(())
    })
    .await
    .unwrap();
    tokio::time::pause();
    tokio::time::advance(bundle::LIMIT).await;
    tokio::time::resume();
    let why = not_now(looking.await.unwrap());
    assert!(why.contains("not resolved within 20s"), "{why}");
}

#[tokio::test]
async fn a_remote_that_never_answers_delays_no_other() {
    let (slow, authority) = stalled();
    let quick = PlayedRegistry::start(&authority).unwrap();
    let layer = BundleLayer { kind: "task", name: "build", content: b"kind: Task".to_vec() };
    quick.push_bundle("tasks", "v1", &[layer]);
    let git_server = GitServer::start().await.unwrap();
    git_server.repository("repo").unwrap().commit(&[("build.yaml", "kind: Task")]).unwrap();
    let allow = format!("127.0.0.1,{}", git_server.origin());
    let resolver = resolver(&allow, Some(authority.cert_pem()));
    let mut looking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let question = bundle(&format!("{}/tasks:v{number}", slow.address()));
        looking.spawn(resolver.clone().find(question, "tenant".to_owned()));
    }
    eventually(DEADLINE, "the host to be full", async || {
        anyhow::ensure!(slow.calls().len() >= CALLS.per_host, "{} calls", slow.calls().len());
        Ok(())
    })
    .await
    .unwrap();
    // Of the same namespace, which is the worst case.
    for question in [bundle(&format!("{}/tasks:v1", quick.address())), git(&git_server.url("repo"))] {
        let found = find(&resolver, question).await;
        assert!(matches!(found, Looked::Known { answer: Answer::Found(_), .. }), "{found:?}");
    }
    assert!(looking.try_join_next().is_none(), "the others still wait");
    assert_eq!(slow.calls().len(), CALLS.per_host);
}

#[tokio::test]
async fn who_has_no_turn_in_time_is_told() {
    let server = GitServer::start().await.unwrap();
    let resolver = resolver(server.origin(), None);
    let mut held = Vec::new();
    for _ in 0..FETCHES.per_host {
        held.push(resolver.fetches.take("busy", "127.0.0.1", Duration::ZERO).await.unwrap());
    }
    let settings = Settings {
        git: GitSettings { fetch_timeout: Duration::from_millis(50), ..GitSettings::default() },
        ..Settings::default()
    };
    let params = [("url", &*server.url("repo")), ("pathInRepo", "build.yaml")];
    let why = not_now(find(&resolver, question("git", &params, &settings).unwrap()).await);
    assert!(why.contains("no turn within 50ms"), "{why}");
    assert_eq!(server.calls(), [""; 0]);
}

#[rstest]
#[case::nul("a\0b", "control characters")]
#[case::line_break("a\nb", "control characters")]
#[case::long(&"x".repeat(2049), "longer than 2048 bytes")]
fn no_param_is_anything_at_all(#[case] value: &str, #[case] why: &str) {
    let params = |name: &str| {
        let mut params = vec![("url", "https://git.test/x"), ("pathInRepo", "a"), ("revision", "main")];
        params.extend([("bundle", "r.test/a"), ("name", "a"), ("namespace", "a"), ("kind", "task")]);
        let param = params.iter_mut().find(|param| param.0 == name).unwrap();
        param.1 = value;
        params
    };
    for (kind, names) in [
        ("git", &["url", "pathInRepo", "revision"][..]),
        ("bundles", &["bundle", "name", "kind"]),
        ("cluster", &["name", "namespace", "kind"]),
    ] {
        for name in names {
            let error = question(kind, &params(name), &Settings::default()).unwrap_err();
            assert!(error.contains(why) && error.contains(name), "{kind} {name}: {error}");
        }
    }
}
