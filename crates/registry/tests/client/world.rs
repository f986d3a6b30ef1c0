//! A registry, and a client that trusts it.

use std::path::Path;

use fleet::outbound::{self, Options};
use prometheus::Registry;
use registry::{Client, Keychain, Reference};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

pub(crate) struct World {
    pub(crate) registry: PlayedRegistry,
    pub(crate) client: Client,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::allowing("127.0.0.1")
    }

    /// With a client that has this `--outbound-allow`.
    pub(crate) fn allowing(allow: &str) -> Self {
        let authority = Authority::new("registry-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        let options =
            Options { allow: allow.parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
        let outbound =
            outbound::Client::new("test", options, fleet::Clock::system(), &Registry::new()).unwrap();
        let registry = PlayedRegistry::start(&authority).unwrap();
        Self { registry, client: Client::new(outbound), authority, folder }
    }

    /// One more registry, which the client trusts as well.
    pub(crate) fn other_registry(&self) -> (PlayedRegistry, Reference) {
        let other = PlayedRegistry::start(&self.authority).unwrap();
        let reference = format!("{}/prod/app", other.address()).parse().unwrap();
        (other, reference)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.registry.address()).parse().unwrap()
    }

    pub(crate) fn keychain(&self, logins: &[(&str, &str, &str)]) -> Keychain {
        let mut keychain = Keychain::default();
        for (path, user, password) in logins {
            let key = format!("{}{path}", self.registry.address());
            let file = format!(r#"{{"{key}": {{"username": "{user}", "password": "{password}"}}}}"#);
            keychain.add_docker_cfg(file.as_bytes()).unwrap();
        }
        keychain
    }
}
