//! What a Secret with credentials holds (specification, section 4.4, step 4).

use std::collections::BTreeMap;

use build_service_api::ErrorId;
use build_service_api::names::{GITHUB_APP_ID_KEY, GITHUB_PRIVATE_KEY_KEY, PASSWORD_KEY};
use fleet::{Clock, Secret};
use forge::{InvalidApp, Provider};
use k8s_openapi::ByteString;

use crate::failure::Failure;

const USER_KEY: &str = "username";
const KEY_BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";
const KEY_END: &str = "-----END RSA PRIVATE KEY-----";

/// What to ask a forge with.
pub(super) enum Credential {
    App(Box<AppKey>),
    Token { token: Secret<String>, user: Option<String> },
}

/// The GitHub App of a Secret.
pub(super) struct AppKey {
    pub(super) id: String,
    pub(super) pem: Secret<Vec<u8>>,
}

impl AppKey {
    /// Checks the key, which takes a while.
    pub(super) fn app(&self, clock: Clock) -> Result<forge::App, Failure> {
        forge::App::new(&self.id, &self.pem, clock).map_err(|error| {
            let id = match error {
                InvalidApp::Id => ErrorId::GitHubAppMalformedId,
                InvalidApp::Key => ErrorId::GitHubAppMalformedPrivateKey,
            };
            Failure::permanent(id, format!("Secret of the GitHub App {}: {error}", self.id))
        })
    }
}

/// What is in a Secret: that of an App, where it has one and the forge is GitHub, else a token. The error says what is wrong with
/// it, without its values.
pub(super) fn read(provider: Provider, data: &BTreeMap<String, ByteString>) -> Result<Credential, String> {
    let text = |key: &str| -> Result<Option<Secret<String>>, String> {
        let Some(value) = data.get(key) else { return Ok(None) };
        let text =
            str::from_utf8(&value.0).map_err(|_| format!("what is under the key {key:?} is no text"))?;
        Ok(Some(Secret::new(text.trim().to_owned())))
    };
    let wanted = |key: &str| {
        let value = text(key)?.filter(|value| !value.expose().is_empty());
        value.ok_or_else(|| format!("the key {key:?} is missing or empty"))
    };
    let has = |key| data.contains_key(key);
    if provider == Provider::GitHub && (has(GITHUB_APP_ID_KEY) || has(GITHUB_PRIVATE_KEY_KEY)) {
        let (id, key) = (wanted(GITHUB_APP_ID_KEY)?, wanted(GITHUB_PRIVATE_KEY_KEY)?);
        if id.expose().parse::<i64>().is_err() {
            return Err(format!("what is under the key {GITHUB_APP_ID_KEY:?} is no decimal number"));
        }
        if !(key.expose().starts_with(KEY_BEGIN) && key.expose().ends_with(KEY_END)) {
            return Err(format!(
                "what is under the key {GITHUB_PRIVATE_KEY_KEY:?} does not begin with {KEY_BEGIN} and end with {KEY_END}"
            ));
        }
        let pem = Secret::new(key.expose().as_bytes().to_vec());
        return Ok(Credential::App(Box::new(AppKey { id: id.expose().clone(), pem })));
    }
    let token = wanted(PASSWORD_KEY)?;
    if token.expose().contains(char::is_control) {
        return Err(format!("what is under the key {PASSWORD_KEY:?} is no token: it has several lines"));
    }
    let user = text(USER_KEY)?.map(|user| user.expose().clone()).filter(|user| !user.is_empty());
    Ok(Credential::Token { token, user })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KEY: &str = "\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n";

    fn read_of(provider: Provider, data: &[(&str, &str)]) -> Result<Credential, String> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        read(provider, &data.collect())
    }

    #[rstest]
    #[case::app(Provider::GitHub, &[(GITHUB_APP_ID_KEY, " 7\n"), (GITHUB_PRIVATE_KEY_KEY, KEY)], "app 7")]
    #[case::app_wins(
        Provider::GitHub,
        &[("password", "t"), (GITHUB_APP_ID_KEY, "7"), (GITHUB_PRIVATE_KEY_KEY, KEY)],
        "app 7"
    )]
    #[case::only_github_has_apps(Provider::GitLab, &[("password", "t"), (GITHUB_APP_ID_KEY, "7")], "token t")]
    #[case::token(Provider::GitHub, &[("password", "t\n"), ("username", "")], "token t")]
    #[case::token_of(Provider::GitHub, &[("password", "t"), ("username", "jane")], "token t of jane")]
    #[case::no_key(Provider::GitHub, &[(GITHUB_APP_ID_KEY, "7")], "\"github-private-key\" is missing")]
    #[case::no_id(Provider::GitHub, &[(GITHUB_PRIVATE_KEY_KEY, KEY)], "\"github-application-id\" is missing")]
    #[case::empty_id(
        Provider::GitHub,
        &[(GITHUB_APP_ID_KEY, " "), (GITHUB_PRIVATE_KEY_KEY, KEY)],
        "missing or empty"
    )]
    #[case::name_as_id(
        Provider::GitHub,
        &[(GITHUB_APP_ID_KEY, "konflux"), (GITHUB_PRIVATE_KEY_KEY, KEY)],
        "no decimal number"
    )]
    #[case::other_key(
        Provider::GitHub,
        &[(GITHUB_APP_ID_KEY, "7"), (GITHUB_PRIVATE_KEY_KEY, "secret")],
        "does not begin with"
    )]
    #[case::empty_token(Provider::GitLab, &[("password", "\n")], "\"password\" is missing or empty")]
    #[case::lines(Provider::GitLab, &[("password", "a\nb")], "several lines")]
    fn reads(#[case] provider: Provider, #[case] data: &[(&str, &str)], #[case] expected: &str) {
        let found = match read_of(provider, data) {
            Ok(Credential::App(key)) => format!("app {}", key.id),
            Ok(Credential::Token { token, user: None }) => format!("token {}", token.expose()),
            Ok(Credential::Token { token, user: Some(user) }) => {
                format!("token {} of {user}", token.expose())
            }
            Err(error) => error,
        };
        assert!(found.contains(expected), "{found}");
        assert!(!found.contains("secret"), "{found}");
    }

    #[test]
    fn a_key_that_is_none_has_its_number() {
        let data = [(GITHUB_APP_ID_KEY, "7"), (GITHUB_PRIVATE_KEY_KEY, KEY)];
        let Ok(Credential::App(key)) = read_of(Provider::GitHub, &data) else { panic!("no App") };
        let failure = key.app(Clock::system()).unwrap_err();
        assert!(matches!(failure, Failure::Permanent { id: ErrorId::GitHubAppMalformedPrivateKey, .. }));
    }
}
