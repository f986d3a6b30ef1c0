//! The secrets of webhooks, and what proves a delivery by them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet::Secret;
use forge::signature::{Invalid, Payload, Sender, Verifier};
use http::HeaderMap;
use parking_lot::RwLock;

/// Contents are compared: the kubelet swaps a link two levels up.
const REREAD: Duration = Duration::from_secs(5);

/// Forges that have a secret, and what it is called. `_PREVIOUS` at the end is the one before.
const NAMES: [(Sender, &str); 3] = [
    (Sender::GitHub, "GH_APP_WEBHOOK_SECRET"),
    (Sender::GitLab, "GITLAB_WEBHOOK_SECRET"),
    (Sender::Gitea, "GITEA_WEBHOOK_SECRET"),
];

/// Why a delivery is refused. For the log; the caller learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Refusal {
    #[error("the body is empty")]
    EmptyBody,
    #[error("the content type is neither application/json nor application/x-www-form-urlencoded")]
    ContentType,
    #[error("{0}")]
    Signature(Invalid),
}

/// Secrets by sender, the current one first.
type Secrets = BTreeMap<Sender, Vec<Secret<Vec<u8>>>>;

/// Decides whether a delivery is passed on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    folder: Option<PathBuf>,
    /// Of the environment.
    given: Secrets,
    options: Options,
    state: RwLock<State>,
}

/// What an operator has eased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) skip: bool,
    pub(crate) allow_sha1: bool,
    pub(crate) pass_unverified: Vec<Sender>,
}

struct State {
    secrets: Secrets,
    verifiers: BTreeMap<Sender, Verifier>,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "no webhook secret: set GH_APP_WEBHOOK_SECRET, GITLAB_WEBHOOK_SECRET or GITEA_WEBHOOK_SECRET (or a file of that name in \
         --secrets-dir), or --insecure-skip-webhook-verify to pass on what nobody has signed"
    )]
    NoSecret,
    #[error("--secrets-dir (SPRAYPROXY_SERVER_SECRETS_DIR) {path}: cannot be read", path = path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

impl Gate {
    /// Fails without any secret, unless verification is off.
    pub(crate) fn new(folder: Option<PathBuf>, given: Secrets, options: Options) -> Result<Self, Error> {
        let secrets = read(folder.as_deref(), &given)?;
        if secrets.is_empty() && !options.skip {
            return Err(Error::NoSecret);
        }
        let verifiers = verifiers(&secrets, &options);
        Ok(Self(Arc::new(Inner { folder, given, options, state: RwLock::new(State { secrets, verifiers }) })))
    }

    /// Whether this is passed on.
    pub(crate) fn check(&self, headers: &HeaderMap, body: &Bytes) -> Result<(), Refusal> {
        if body.is_empty() {
            return Err(Refusal::EmptyBody);
        }
        if self.0.options.skip {
            return Ok(());
        }
        if Payload::of(headers).is_none() {
            return Err(Refusal::ContentType);
        }
        // What names no forge is judged as the original judges all: by GitHub's secret.
        let sender = Sender::of(headers).unwrap_or(Sender::GitHub);
        let state = self.0.state.read();
        match state.verifiers.get(&sender) {
            Some(verifier) => verifier.verify(headers, body).map_err(Refusal::Signature),
            None if self.0.options.pass_unverified.contains(&sender) => Ok(()),
            None => Err(Refusal::Signature(Invalid::NoSecret(sender))),
        }
    }

    /// Takes up secrets that change. What cannot be read, or would leave none, changes nothing. Never ends.
    pub(crate) async fn follow(self) {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(REREAD).await;
            let gate = self.clone();
            let Ok(result) = tokio::task::spawn_blocking(move || gate.reread()).await else { return };
            match result {
                Ok(()) => complaint.clear(),
                Err(error) if error.to_string() == complaint => {}
                Err(error) => {
                    complaint = error.to_string();
                    tracing::error!(
                        error = complaint,
                        "Webhook secrets cannot be read; those from before stay in use"
                    );
                }
            }
        }
    }

    fn reread(&self) -> Result<(), Error> {
        let secrets = read(self.0.folder.as_deref(), &self.0.given)?;
        if self.0.state.read().secrets == secrets {
            return Ok(());
        }
        // A Secret that is being replaced may be empty for a moment.
        if secrets.is_empty() && !self.0.options.skip {
            return Err(Error::NoSecret);
        }
        let verifiers = verifiers(&secrets, &self.0.options);
        let senders: Vec<String> =
            secrets.iter().map(|(sender, keys)| format!("{sender}: {}", keys.len())).collect();
        *self.0.state.write() = State { secrets, verifiers };
        tracing::info!(secrets = senders.join(", "), "Read webhook secrets");
        Ok(())
    }
}

/// Secrets in the environment.
#[expect(clippy::disallowed_methods, reason = "a flag would show them to everybody who lists processes")]
pub(crate) fn from_environment() -> Secrets {
    collect(|name| std::env::var(name).ok().map(String::into_bytes).map(Secret::new))
}

/// Those in the folder, and those given for what the folder does not have.
fn read(folder: Option<&Path>, given: &Secrets) -> Result<Secrets, Error> {
    let Some(folder) = folder else { return Ok(given.clone()) };
    let failed = |source| Error::Folder { path: folder.to_owned(), source };
    // Tells a folder that is not mounted from one without a file.
    std::fs::read_dir(folder).map_err(failed)?;
    let mut fault = None;
    let mut secrets = collect(|name| match std::fs::read(folder.join(name)) {
        Ok(bytes) => Some(Secret::new(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            fault = Some(error);
            None
        }
    });
    if let Some(source) = fault {
        return Err(failed(source));
    }
    for (sender, keys) in given {
        secrets.entry(*sender).or_insert_with(|| keys.clone());
    }
    Ok(secrets)
}

/// Empty ones are absent.
fn collect(mut value: impl FnMut(&str) -> Option<Secret<Vec<u8>>>) -> Secrets {
    let mut secrets = Secrets::new();
    for (sender, name) in NAMES {
        let both = [value(name), value(&format!("{name}_PREVIOUS"))];
        let keys: Vec<_> = both.into_iter().flatten().filter(|key| !key.expose().is_empty()).collect();
        if !keys.is_empty() {
            secrets.insert(sender, keys);
        }
    }
    secrets
}

fn verifiers(secrets: &Secrets, options: &Options) -> BTreeMap<Sender, Verifier> {
    let verifier = |(sender, keys): (&Sender, &Vec<_>)| {
        (*sender, Verifier::new(*sender, keys.clone()).allow_sha1(options.allow_sha1))
    };
    secrets.iter().map(verifier).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn secrets(pairs: &[(Sender, &str)]) -> Secrets {
        let mut secrets = Secrets::new();
        for (sender, key) in pairs {
            secrets.entry(*sender).or_default().push(Secret::new(key.as_bytes().to_vec()));
        }
        secrets
    }

    fn gitlab(token: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-event", HeaderValue::from_static("Push Hook"));
        headers.insert("x-gitlab-token", HeaderValue::from_static(token));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers
    }

    const BODY: Bytes = Bytes::from_static(b"{}");

    #[test]
    fn starts_only_with_a_secret_or_without_verification() {
        let error = Gate::new(None, Secrets::new(), Options::default()).err().unwrap();
        assert!(error.to_string().starts_with("no webhook secret"), "{error}");
        let gate = Gate::new(None, Secrets::new(), Options { skip: true, ..Options::default() }).unwrap();
        assert_eq!(gate.check(&HeaderMap::new(), &BODY), Ok(()));
        assert_eq!(gate.check(&HeaderMap::new(), &Bytes::new()), Err(Refusal::EmptyBody));
    }

    #[rstest]
    #[case::refused(&[], Err(Refusal::Signature(Invalid::NoSecret(Sender::GitLab))))]
    #[case::passed(&[Sender::GitLab], Ok(()))]
    #[case::another_forge(&[Sender::Gitea], Err(Refusal::Signature(Invalid::NoSecret(Sender::GitLab))))]
    fn what_happens_without_a_secret_of_that_forge(
        #[case] pass: &[Sender],
        #[case] expected: Result<(), Refusal>,
    ) {
        let options = Options { pass_unverified: pass.to_vec(), ..Options::default() };
        let gate = Gate::new(None, secrets(&[(Sender::GitHub, "x")]), options).unwrap();
        assert_eq!(gate.check(&gitlab("y"), &BODY), expected);
    }

    #[test]
    fn a_configured_secret_counts_even_where_unverified_ones_pass() {
        let options = Options { pass_unverified: vec![Sender::GitLab], ..Options::default() };
        let gate = Gate::new(None, secrets(&[(Sender::GitLab, "x")]), options).unwrap();
        assert_eq!(gate.check(&gitlab("x"), &BODY), Ok(()));
        assert_eq!(
            gate.check(&gitlab("y"), &BODY),
            Err(Refusal::Signature(Invalid::Mismatch("x-gitlab-token")))
        );
    }

    #[test]
    fn a_delivery_of_nobody_is_judged_by_githubs_secret() {
        let gate = Gate::new(None, secrets(&[(Sender::GitHub, "x")]), Options::default()).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(gate.check(&headers, &BODY), Err(Refusal::ContentType));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let expected = Refusal::Signature(Invalid::Missing("x-hub-signature-256"));
        assert_eq!(gate.check(&headers, &BODY), Err(expected));
    }

    #[test]
    fn rotates_by_the_folder_and_survives_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &str| std::fs::write(folder.path().join(name), value).unwrap();
        let accepts = |gate: &Gate| ["old", "new"].map(|token| gate.check(&gitlab(token), &BODY).is_ok());
        write("GITLAB_WEBHOOK_SECRET", "old");
        let gate = Gate::new(Some(folder.path().to_owned()), Secrets::new(), Options::default()).unwrap();
        assert_eq!(accepts(&gate), [true, false]);
        write("GITLAB_WEBHOOK_SECRET", "new");
        write("GITLAB_WEBHOOK_SECRET_PREVIOUS", "old");
        gate.reread().unwrap();
        assert_eq!(accepts(&gate), [true, true]);
        std::fs::remove_file(folder.path().join("GITLAB_WEBHOOK_SECRET_PREVIOUS")).unwrap();
        gate.reread().unwrap();
        assert_eq!(accepts(&gate), [false, true]);
        std::fs::remove_file(folder.path().join("GITLAB_WEBHOOK_SECRET")).unwrap();
        assert!(matches!(gate.reread(), Err(Error::NoSecret)));
        assert_eq!(accepts(&gate), [false, true]);
    }

    #[test]
    fn the_folder_wins_over_the_environment_forge_by_forge() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("GITLAB_WEBHOOK_SECRET"), "mounted").unwrap();
        let given = secrets(&[(Sender::GitLab, "given"), (Sender::Gitea, "given")]);
        let read = read(Some(folder.path()), &given).unwrap();
        assert_eq!(read, secrets(&[(Sender::GitLab, "mounted"), (Sender::Gitea, "given")]));
        let error = super::read(Some(&folder.path().join("typo")), &given).unwrap_err();
        assert!(error.to_string().contains("--secrets-dir"), "{error}");
    }
}
