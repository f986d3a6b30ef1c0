//! The client of a service, and those who are talked about.

use fleet::Secret;
use fleet::outbound::{self, Options, Url};
use forge::{
    Access, Changes, Contents, Error, Forge, Provider, Releases, Report, Repository, User, Verdict, change,
    connect, converse, release,
};
use testkit::pki::Authority;

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) outbound: outbound::Client,
    _folder: tempfile::TempDir,
}

/// A client that may call `allow`, and trusts an authority of its own.
pub(crate) fn world(allow: &str) -> World {
    let authority = Authority::new("forge-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let options = Options { allow: allow.parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
    let registry = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &registry).unwrap();
    World { authority, outbound, _folder: folder }
}

/// As [`world`], and it trusts whoever signed the certificate of a server that was there before.
pub(crate) fn world_trusting(authority: &str) -> World {
    let world = world("localhost");
    world.outbound.trust_further(authority).unwrap();
    world
}

impl World {
    pub(crate) fn connect(&self, provider: Provider, server: &str, token: Option<&str>) -> Box<dyn Contents> {
        let token = token.map(secret);
        connect(provider, &url(server), token.as_ref(), &self.outbound).unwrap()
    }

    pub(crate) fn converse(&self, provider: Provider, server: &str, token: &str) -> Box<dyn Forge> {
        let token = secret(token);
        let access = Access { token: Some(&token), ..Access::default() };
        converse(provider, &url(server), access, &self.outbound).unwrap()
    }

    pub(crate) fn release(&self, provider: Provider, server: &str, token: &str) -> Box<dyn Releases> {
        let token = secret(token);
        let access = Access { token: Some(&token), ..Access::default() };
        release(provider, &url(server), access, &self.outbound).unwrap()
    }

    pub(crate) fn change(&self, provider: Provider, server: &str, token: &str) -> Box<dyn Changes> {
        let token = secret(token);
        let access = Access { token: Some(&token), ..Access::default() };
        change(provider, &url(server), access, &self.outbound).unwrap()
    }
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

pub(crate) fn repository(full_name: &str) -> Repository {
    let (owner, name) = full_name.rsplit_once('/').unwrap();
    Repository::new(owner, name).unwrap()
}

/// Somebody whom the forge tells of by name alone.
pub(crate) fn user(login: &str) -> User {
    User { login: login.to_owned(), id: None }
}

/// Of a run named `push`.
pub(crate) fn report(context: &str, verdict: Verdict, title: &str) -> Report {
    Report {
        context: context.to_owned(),
        verdict,
        title: title.to_owned(),
        summary: format!("{context} says: {title}"),
        text: "| Status | Name |".to_owned(),
        details_url: Some("https://console.test/run".to_owned()),
        external_id: "push-abcde".to_owned(),
        check_run: None,
        replaces: None,
        source_project: None,
        started_at: None,
        completed_at: None,
        annotations: Vec::new(),
    }
}

/// Fails the test unless it is this error; returns its text.
macro_rules! fails {
    ($result:expr, $pattern:pat) => {{
        let error = $result.unwrap_err();
        assert!(matches!(error, $pattern), "{error:?}");
        error.to_string()
    }};
}
pub(crate) use fails;

/// What the whole crate answers with.
pub(crate) type Answer<T> = Result<T, Error>;
