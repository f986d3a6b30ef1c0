//! Sources, a cluster that holds Secrets, and forges' clients for unit tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use application_service_api::Component;
use application_service_api::component::ComponentSource;
use build_service_api::names::{GITHUB_APP_ID_KEY, GITHUB_PRIVATE_KEY_KEY, NAMESPACE, PAC_SECRET};
use fleet::outbound::{self, Options, Url};
use fleet::{Clock, ObjectKey};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::forge::{App, AppKey, GitHub};
use testkit::pki::Authority;

use super::{Gits, Parts, Source};

/// The tenant's namespace.
pub(crate) const TENANT: &str = "tenant";

/// Id of the GitHub App.
pub(crate) const APP: u64 = 7;

/// That of a Component with this URL.
pub(crate) fn source(url: &str) -> Source {
    source_of(url, None, None)
}

/// As [`source`], with a revision and the annotation `git-provider`.
pub(crate) fn source_of(url: &str, revision: Option<&str>, provider: Option<&str>) -> Source {
    let mut component = Component::default();
    let git = serde_json::from_value(json!({ "url": url, "revision": revision })).unwrap();
    component.spec.source = Some(ComponentSource { git: Some(git), ..ComponentSource::default() });
    component.metadata.annotations =
        provider.map(|provider| BTreeMap::from([("git-provider".to_owned(), provider.to_owned())]));
    Source::of(&component).unwrap().unwrap()
}

/// An API server that knows some objects, and answers by path.
#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<BTreeMap<String, Value>>>);

impl Cluster {
    /// `path`: as in `/api/v1/namespaces/tenant/secrets/token`.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.0.lock().insert(path.to_owned(), object);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().remove(path);
    }

    /// A Secret of the tenant for a host.
    pub(crate) fn credentials(&self, name: &str, type_: &str, host: &str, repositories: &str, data: Value) {
        let object = json!({
            "metadata": {
                "name": name,
                "namespace": TENANT,
                "labels": {
                    "appstudio.redhat.com/credentials": "scm",
                    "appstudio.redhat.com/scm.host": host,
                },
                "annotations": { "appstudio.redhat.com/scm.repository": repositories },
            },
            "type": format!("kubernetes.io/{type_}"),
            "data": encoded(data),
        });
        self.put(&format!("/api/v1/namespaces/{TENANT}/secrets/{name}"), object);
    }

    /// The platform's Secret.
    pub(crate) fn platform(&self, data: Value) {
        let object =
            json!({ "metadata": {"name": PAC_SECRET, "namespace": NAMESPACE}, "data": encoded(data) });
        self.put(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{PAC_SECRET}"), object);
    }

    pub(crate) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = cluster.answer(request.uri());
            async move { Ok::<_, Infallible>(answer) }
        });
        Client::new(service, "default")
    }

    fn answer(&self, uri: &http::Uri) -> Response<Body> {
        let objects = self.0.lock();
        let path = uri.path().trim_end_matches('/');
        let found = match objects.get(path) {
            Some(object) => Some(object.clone()),
            None if path.ends_with("/secrets") => {
                let query = uri.query().unwrap_or_default();
                let selector = url::form_urlencoded::parse(query.as_bytes())
                    .find_map(|(name, value)| (name == "labelSelector").then(|| value.into_owned()))
                    .unwrap_or_default();
                let is_wanted = |object: &Value| {
                    selector
                        .split(',')
                        .filter_map(|pair| pair.split_once('='))
                        .all(|(key, value)| object["metadata"]["labels"][key] == value)
                };
                let items: Vec<&Value> = objects
                    .iter()
                    .filter(|(key, object)| key.starts_with(&format!("{path}/")) && is_wanted(object))
                    .map(|(_, object)| object)
                    .collect();
                Some(json!({ "apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": items }))
            }
            None => None,
        };
        let (status, body) = match found {
            Some(body) => (200, body),
            None => (
                404,
                json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                    "message": "not found", "code": 404,
                }),
            ),
        };
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
    }
}

fn encoded(data: Value) -> Value {
    let data: BTreeMap<String, String> = serde_json::from_value(data).unwrap();
    let encode = |value: String| data_encoding::BASE64.encode(value.as_bytes());
    json!(data.into_iter().map(|(key, value)| (key, encode(value))).collect::<BTreeMap<_, _>>())
}

/// A client of services that trusts an authority of its own, and may call this machine.
pub(crate) struct Outside {
    pub(crate) authority: Authority,
    pub(crate) outbound: outbound::Client,
    _folder: tempfile::TempDir,
}

pub(crate) fn outside() -> Outside {
    outside_at(Clock::system())
}

pub(crate) fn outside_at(clock: Clock) -> Outside {
    let authority = Authority::new("build-service-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let options = Options {
        allow: "localhost".parse().unwrap(),
        ca_bundle: Some(bundle),
        calls_per_host: Some(100),
        ..Options::default()
    };
    let outbound = outbound::Client::new("test", options, clock, &prometheus::Registry::new()).unwrap();
    Outside { authority, outbound, _folder: folder }
}

/// What is found out with these Secrets, where the GitHub App is at `app_server`.
pub(crate) fn gits(cluster: &Cluster, outside: &Outside, app_server: &str, clock: Clock) -> Gits {
    Gits::new(Parts {
        client: cluster.client(),
        outbound: outside.outbound.clone(),
        secret: ObjectKey::new(NAMESPACE, PAC_SECRET),
        app_server: Url::parse(app_server).unwrap(),
        clock,
    })
}

/// The key of the App [`APP`], which takes a while to make.
pub(crate) fn app_key() -> &'static AppKey {
    static KEY: LazyLock<AppKey> = LazyLock::new(|| AppKey::generate().unwrap());
    &KEY
}

/// The data of the platform's Secret.
pub(crate) fn app_data(id: u64, key: &AppKey) -> Value {
    json!({ GITHUB_APP_ID_KEY: id.to_string(), GITHUB_PRIVATE_KEY_KEY: key.private_pem() })
}

/// A GitHub with the App [`APP`], which is installed nowhere.
pub(crate) fn github_with_app(outside: &Outside) -> GitHub {
    let github = GitHub::start(&outside.authority).unwrap();
    github.edit(|model| {
        model.add_app(App {
            id: APP,
            slug: "konflux".to_owned(),
            name: "Konflux".to_owned(),
            owner: "redhat".to_owned(),
            public_key: app_key().public_der(),
        });
    });
    github
}
