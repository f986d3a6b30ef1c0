//! Against a Git server, a registry, and folders.

use std::collections::HashMap;
use std::path::Path;

use fleet::outbound::{AllowList, Client, Options};
use rstest::rstest;
use serde_json::json;
use testkit::git_server::GitServer;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

use super::*;

const RULE: &str = "package policy.release.a\n\nimport rego.v1\n";

fn outbound(allow: &str, authority: Option<&Path>) -> Client {
    let allow: AllowList = allow.parse().unwrap();
    let options = Options { allow, ca_bundle: authority.map(Into::into), ..Options::default() };
    Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new()).unwrap()
}

fn sources(outbound: &Client, local: Local) -> Sources {
    let registry = registry::Client::new(outbound.clone());
    Sources::new(outbound.clone(), registry, Arc::default(), local)
}

fn paths(fetched: &Fetched) -> Vec<&str> {
    fetched.files.iter().map(|(path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn git_is_pinned_by_the_commit_and_fetched_once() {
    let server = GitServer::start().await.unwrap();
    let repository = server.repository("rules").unwrap();
    let files = [
        ("policy/a.rego", RULE),
        ("policy/data/d.yml", "x: 1"),
        ("policy/README.md", "no"),
        ("z.rego", "no"),
    ];
    let commit = repository.commit(&files).unwrap();
    let sources = sources(&outbound(server.origin(), None), Local::Refused);
    let url = format!("git::{}//policy?ref=main", server.url("rules"));
    let (one, two) = tokio::join!(sources.fetch(&url), sources.fetch(&url));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(paths(&one), ["a.rego", "data/d.yml"]);
    assert_eq!(one.pinned, format!("git::{}//policy?ref={commit}", server.url("rules")));
    assert_eq!(one.modules().unwrap()[0].path, format!("{url}#a.rego"));

    // What is pinned is the same, whatever happens to the branch.
    repository.commit(&[("policy/b.rego", RULE)]).unwrap();
    assert_eq!(paths(&sources.fetch(&one.pinned).await.unwrap()), ["a.rego", "data/d.yml"]);
    let calls = server.calls().len();
    sources.fetch(&url).await.unwrap();
    assert_eq!(server.calls().len(), calls);
}

#[tokio::test]
async fn git_without_encryption_needs_permission() {
    let server = GitServer::start().await.unwrap();
    server.repository("rules").unwrap().commit(&[("a.rego", RULE)]).unwrap();
    let sources = sources(&outbound("0.0.0.0/0", None), Local::Refused);
    let error = sources.fetch(&format!("git::{}", server.url("rules"))).await.unwrap_err();
    assert!(error.to_string().contains("http:// is not permitted"), "{error}");
    assert!(!error.is_transient() && server.calls().is_empty());
}

/// Media type, annotations, content.
type Layer<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// Pushes an artifact of these layers.
async fn push(client: &registry::Client, reference: &str, layers: &[Layer<'_>]) -> String {
    let reference = reference.parse().unwrap();
    let keychain = Keychain::default();
    let mut described = Vec::new();
    for (media_type, annotations, content) in layers {
        let blob = registry::Blob::bytes(content.to_vec());
        client.push_blob(&reference, &blob, &keychain).await.unwrap();
        let annotations: HashMap<_, _> = annotations.iter().copied().collect();
        described.push(json!({"mediaType": media_type, "digest": blob.digest().to_string(), "size": blob.size(), "annotations": annotations}));
    }
    let config = registry::Blob::bytes("{}");
    client.push_blob(&reference, &config, &keychain).await.unwrap();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind, "layers": described,
        "config": {"mediaType": "application/vnd.unknown.config.v1+json", "digest": config.digest().to_string(), "size": config.size()},
    });
    client.push_manifest(&reference, kind, manifest.to_string(), &keychain).await.unwrap().to_string()
}

#[tokio::test]
async fn bundles_have_a_layer_for_each_file() {
    let authority = Authority::new("bundles").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let registry = PlayedRegistry::start(&authority).unwrap();
    let outbound = outbound(registry.address(), Some(&bundle));
    let client = registry::Client::new(outbound.clone());
    let (rego, data) = (
        "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego",
        "application/vnd.cncf.openpolicyagent.data.layer.v1+json",
    );
    let title = |path| [(bundle::TITLE, path)];
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(RULE.len() as u64);
    builder.append_data(&mut header, "policy/c.rego", RULE.as_bytes()).unwrap();
    let packed = builder.into_inner().unwrap();
    let name = format!("{}/rules", registry.address());
    let digest = push(
        &client,
        &format!("{name}:v1"),
        &[
            (rego, &title("policy/a.rego"), RULE.as_bytes()),
            (data, &title("data/d.json"), b"{\"x\": 1}"),
            (rego, &title("../../evil.rego"), b"package evil"),
            (rego, &title("README.md"), b"no"),
            (rego, &[], b"no name"),
            ("application/vnd.oci.image.layer.v1.tar", &[("io.deis.oras.content.unpack", "true")], &packed),
        ],
    )
    .await;
    let sources = sources(&outbound, Local::Refused);
    for url in [format!("oci::{name}:v1"), format!("oci::{name}:v1@{digest}"), format!("{name}:v1")] {
        let fetched = sources.fetch(&url).await.unwrap();
        assert_eq!(paths(&fetched), ["data/d.json", "policy/a.rego", "policy/c.rego"], "{url}");
        assert_eq!(fetched.pinned, format!("oci::{name}:v1@{digest}"));
    }
    let error = sources.fetch(&format!("oci::{name}:gone")).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { is_transient: false, .. }), "{error:?}");
}

#[tokio::test]
async fn folders_are_read_if_that_is_permitted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("deep/.git")).unwrap();
    for (path, content) in
        [("deep/a.rego", RULE), ("deep/.git/b.rego", "no"), ("d.yaml", "x: 1"), ("README", "no")]
    {
        std::fs::write(folder.path().join(path), content).unwrap();
    }
    let path = folder.path().display().to_string();
    let outbound = outbound("", None);
    let permitted = sources(&outbound, Local::Allowed);
    for url in [path.clone(), format!("file::{path}"), format!("file://{path}")] {
        let fetched = permitted.fetch(&url).await.unwrap();
        assert_eq!((paths(&fetched), &fetched.pinned), (vec!["d.yaml", "deep/a.rego"], &url));
        assert_eq!(fetched.modules().unwrap()[0].path, format!("{path}/deep/a.rego"));
    }
    let error = permitted.fetch(&format!("{path}/gone")).await.unwrap_err();
    assert!(error.to_string().contains("there is no such file or folder"), "{error}");
    let error = sources(&outbound, Local::Refused).fetch(&path).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn a_group_has_rules_and_merged_data() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [
        ("rules/a.rego", RULE),
        ("rules/ignored.yaml", "not: data"),
        ("data/d.yaml", "x: {y: 1}"),
        ("data/e.json", "{\"x\": {\"z\": 2}}"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let url = |name: &str| format!("{}/{name}", folder.path().display());
    let source = |policy: &[&str], data: &[&str]| Source {
        policy: policy.iter().map(|name| url(name)).collect(),
        data: data.iter().map(|name| url(name)).collect(),
        rule_data: json!({"k": "v"}).as_object().cloned(),
        ..Source::default()
    };
    let sources = sources(&outbound("", None), Local::Allowed);
    let group = sources.group(&source(&["rules", "rules"], &["data"])).await.unwrap();
    assert_eq!(group.modules.len(), 1);
    assert_eq!(group.data, json!({"x": {"y": 1, "z": 2}, "rule_data__configuration__": {"k": "v"}}));
    let urls: Vec<_> = group.urls.iter().map(|resolved| resolved.url.clone()).collect();
    assert_eq!(urls, [url("rules"), url("data")]);
    let error = sources.group(&source(&["data"], &[])).await.unwrap_err();
    assert!(matches!(error, Error::NoRego { .. }), "{error}");
    let error = sources.group(&source(&["rules"], &["data", "data/d.yaml"])).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
}

#[rstest]
#[case::page(
    "https://github.com/o/r//policy",
    "leave https:// out to have the repository (github.com/o/r//policy)"
)]
#[case::other("oci::quay.io/o/r", "no file whose name ends in .rego")]
fn no_rego_says_what_may_be_meant(#[case] url: &str, #[case] expected: &str) {
    let fetched = Fetched { url: url.to_owned(), pinned: String::new(), files: Vec::new() };
    let error = fetched.modules().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn a_service_keeps_less_than_a_user_may() {
    let server = GitServer::start().await.unwrap();
    let repository = server.repository("rules").unwrap();
    let half = "x".repeat(9 * 1024 * 1024);
    for (path, content) in [("one/a.json", &half), ("two/a.json", &half), ("two/b.json", &half)] {
        repository.commit(&[(path, content)]).unwrap();
    }
    let sources = sources(&outbound(server.origin(), None), Local::Refused);
    sources.fetch(&format!("git::{}//one", server.url("rules"))).await.unwrap();
    let error = sources.fetch(&format!("git::{}//two", server.url("rules"))).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}
