//! The logins that a pod has for registries, of its Secrets.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use fleet::Secret;
use serde::Deserialize;

use crate::login::Login;
use crate::reference::{Reference, canonical_registry};

/// Logins by the registry or repository that they are for. Those for the longest path are tried first, then in the order
/// in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Keychain(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    /// Host, and port if there is one; a label of it may be `*`.
    host: String,
    /// Components that a repository has to begin with.
    path: Vec<String>,
    login: Login,
}

/// A Secret that holds no logins.
#[derive(Debug, thiserror::Error)]
#[error("it is no {format} file")]
pub struct BadSecret {
    format: &'static str,
    // Not its words: they may be of the content.
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    /// `user:password` in base64.
    #[serde(default, rename = "auth")]
    pair: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
    #[serde(default, rename = "registrytoken")]
    registry_token: String,
}

impl Keychain {
    /// Adds what `.dockerconfigjson` of a Secret holds.
    pub fn add_docker_config_json(&mut self, file: &[u8]) -> Result<(), BadSecret> {
        let config: DockerConfig =
            serde_json::from_slice(file).map_err(|_| BadSecret { format: ".dockerconfigjson" })?;
        self.add(config.auths);
        Ok(())
    }

    /// Adds what `.dockercfg` of a Secret holds: the same without the outer object.
    pub fn add_docker_cfg(&mut self, file: &[u8]) -> Result<(), BadSecret> {
        let auths = serde_json::from_slice(file).map_err(|_| BadSecret { format: ".dockercfg" })?;
        self.add(auths);
        Ok(())
    }

    fn add(&mut self, auths: BTreeMap<String, Auth>) {
        for (key, auth) in auths {
            let Some(login) = auth.login() else { continue };
            let (host, path) = place(&key);
            self.0.push(Entry { host, path, login });
        }
        self.0.sort_by_key(|entry| std::cmp::Reverse(entry.path.len()));
    }

    /// The logins for an image, best first. None means that it is asked for by nobody in particular.
    pub fn logins(&self, reference: &Reference) -> impl Iterator<Item = &Login> {
        let fits = move |entry: &&Entry| {
            let mut repository = reference.repository().split('/');
            is_host(&entry.host, reference.registry())
                && entry.path.iter().all(|component| repository.next() == Some(component))
        };
        self.0.iter().filter(fits).map(|entry| &entry.login)
    }
}

impl Auth {
    fn login(self) -> Option<Login> {
        let secret = |text: String| Some(Secret::new(text)).filter(|secret| !secret.expose().is_empty());
        if let Some(token) = secret(self.registry_token) {
            return Some(Login::Token(token));
        }
        if let Some(token) = secret(self.identity_token) {
            return Some(Login::Identity(token));
        }
        let (user, password) = if self.username.is_empty() {
            let pair = Secret::new(self.pair);
            let pair = Secret::new(BASE64.decode(pair.expose().trim().as_bytes()).ok()?);
            let pair = Secret::new(String::from_utf8(pair.expose().clone()).ok()?);
            let (user, password) = pair.expose().split_once(':')?;
            (user.to_owned(), Secret::new(password.to_owned()))
        } else {
            (self.username, Secret::new(self.password))
        };
        Some(Login::Password { user, password })
    }
}

/// Host and path of a key: `quay.io`, `quay.io/org`, `https://index.docker.io/v1/`.
fn place(key: &str) -> (String, Vec<String>) {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    // Versions of the API that old clients put behind the host.
    let path = if ["v1", "v2"].contains(&path) { "" } else { path };
    let path = path.split('/').filter(|component| !component.is_empty()).map(str::to_owned).collect();
    (canonical_registry(host), path)
}

/// Whether a host is meant, of which `*` may stand for one label.
fn is_host(pattern: &str, host: &str) -> bool {
    let split = |text: &str| -> (Vec<String>, Option<String>) {
        let (name, port) = text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        (name.split('.').map(str::to_owned).collect(), port.map(str::to_owned))
    };
    let ((pattern, pattern_port), (host, port)) = (split(pattern), split(host));
    pattern_port == port
        && pattern.len() == host.len()
        && pattern.iter().zip(&host).all(|(pattern, label)| pattern == "*" || pattern == label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn keychain(keys: &[&str]) -> Keychain {
        let auths: serde_json::Map<_, _> = keys
            .iter()
            .map(|key| ((*key).to_owned(), serde_json::json!({"username": key, "password": "p"})))
            .collect();
        let mut keychain = Keychain::default();
        let file = serde_json::to_vec(&serde_json::json!({"auths": auths})).unwrap();
        keychain.add_docker_config_json(&file).unwrap();
        keychain
    }

    fn users(keychain: &Keychain, reference: &str) -> Vec<String> {
        let reference = reference.parse().unwrap();
        let user = |login: &Login| match login {
            Login::Password { user, .. } => user.clone(),
            other => format!("{other:?}"),
        };
        keychain.logins(&reference).map(user).collect()
    }

    #[rstest]
    #[case::registry(&["quay.io"], "quay.io/org/app", &["quay.io"])]
    #[case::longest_first(&["quay.io", "quay.io/org", "quay.io/org/app", "quay.io/other"], "quay.io/org/app:v1", &["quay.io/org/app", "quay.io/org", "quay.io"])]
    #[case::whole_components(&["quay.io/org"], "quay.io/organisation/app", &[])]
    #[case::longer_than_the_repository(&["quay.io/org/app/x"], "quay.io/org/app", &[])]
    #[case::other_port(&["quay.io:8443"], "quay.io/app", &[])]
    #[case::port(&["quay.io:8443"], "quay.io:8443/app", &["quay.io:8443"])]
    #[case::longer_host(&["quay.io"], "evil.quay.io/app", &[])]
    #[case::wildcard(&["*.example.com"], "a.example.com/app", &["*.example.com"])]
    #[case::wildcard_is_one_label(&["*.example.com"], "a.b.example.com/app", &[])]
    #[case::old_key(&["https://index.docker.io/v1/"], "busybox", &["https://index.docker.io/v1/"])]
    #[case::scheme_and_version(&["https://quay.io/v2/"], "quay.io/app", &["https://quay.io/v2/"])]
    fn finds(#[case] keys: &[&str], #[case] reference: &str, #[case] expected: &[&str]) {
        assert_eq!(users(&keychain(keys), reference), expected);
    }

    #[test]
    fn reads_all_forms_of_a_login() {
        let mut keychain = Keychain::default();
        let file = br#"{"quay.io/a": {"auth": "dTpwOnE="}, "quay.io/b": {"identitytoken": "i"}, "quay.io/c": {"registrytoken": "r"}, "quay.io/d": {"auth": "%"}, "quay.io/e": {}}"#;
        keychain.add_docker_cfg(file).unwrap();
        let login = |reference: &str| keychain.logins(&reference.parse().unwrap()).next().cloned();
        let secret = |text: &str| Secret::new(text.to_owned());
        let password = Login::Password { user: "u".to_owned(), password: secret("p:q") };
        assert_eq!(login("quay.io/a"), Some(password.clone()));
        assert_eq!(login("quay.io/b"), Some(Login::Identity(secret("i"))));
        assert_eq!(login("quay.io/c"), Some(Login::Token(secret("r"))));
        assert_eq!((login("quay.io/d"), login("quay.io/e")), (None, None));
        assert_ne!(login("quay.io/b").unwrap().id(), Login::Token(secret("i")).id());
        assert!(!format!("{keychain:?}").contains("p:q"));
        let other = Login::Password { user: "u:p".to_owned(), password: secret("q") };
        assert_ne!(password.id(), other.id());
    }

    #[test]
    fn says_nothing_of_a_bad_secret() {
        let error = Keychain::default().add_docker_config_json(b"{\"auths\": \"hunter2\"}").unwrap_err();
        assert_eq!(error.to_string(), "it is no .dockerconfigjson file");
    }
}
