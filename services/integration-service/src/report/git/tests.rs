use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn repository(settings: &Value) -> Repository {
    serde_json::from_value(json!({
        "metadata": {"name": "app", "namespace": "team"},
        "spec": {"url": "https://git.test/acme/app", "git_provider": settings},
    }))
    .unwrap()
}

fn server_of(settings: &Value, provider: Provider, url: &str) -> Result<String, String> {
    server(&repository(settings), provider, &Url::parse(url).unwrap()).map(Into::into)
}

#[rstest]
#[case::public(json!({}), Provider::GitLab, "https://gitlab.com/acme/app", "https://gitlab.com/")]
#[case::own(json!({}), Provider::Gitea, "https://git.test:3000/acme/app", "https://git.test:3000/")]
#[case::named(json!({"url": "https://api.git.test"}), Provider::GitHub, "https://git.test/a/b", "https://api.git.test/")]
#[case::of_its_type(json!({"type": "forgejo"}), Provider::Gitea, "https://git.test/a/b", "https://git.test/")]
fn a_token_has_its_server(
    #[case] settings: Value,
    #[case] provider: Provider,
    #[case] url: &str,
    #[case] expected: &str,
) {
    assert_eq!(server_of(&settings, provider, url).as_deref(), Ok(expected));
}

#[rstest]
#[case::elsewhere(json!({}), Provider::GitHub, "https://git.test/a/b", "spec.git_provider.url is missing")]
#[case::no_address(json!({"url": "git.test"}), Provider::GitHub, "https://git.test/a/b", "is no address")]
#[case::other_type(json!({"type": "gitlab"}), Provider::GitHub, "https://github.com/a/b", "spec.git_provider.type is gitlab")]
fn a_token_goes_nowhere_else(
    #[case] settings: Value,
    #[case] provider: Provider,
    #[case] url: &str,
    #[case] why: &str,
) {
    let text = server_of(&settings, provider, url).unwrap_err();
    assert!(text.contains(why), "{text}");
}

fn api(code: u16) -> kube::Error {
    let status = kube::core::Status { code, ..kube::core::Status::default() };
    kube::Error::Api(Box::new(status))
}

#[rstest]
#[case::forge_away(
    Error::Forge(forge::Error::Conflict { what: String::new(), reason: String::new() }), true
)]
#[case::token_refused(
    Error::Forge(forge::Error::Unauthorized { what: String::new(), reason: String::new() }), false
)]
#[case::gone(Error::Forge(forge::Error::NotFound { what: String::new() }), false)]
#[case::old_token(Error::TokenEnded, true)]
#[case::no_secret(Error::NoSecret { secret: ObjectKey::new("n", "s"), key: "k".to_owned() }, false)]
#[case::api_away(Error::Unread { secret: ObjectKey::new("n", "s"), source: Box::new(api(500)) }, true)]
#[case::right_to_come(Error::TaskRuns { run: ObjectKey::new("n", "r"), source: Box::new(api(403)) }, true)]
fn what_is_tried_again(#[case] error: Error, #[case] expected: bool) {
    assert_eq!(error.is_transient(), expected);
}
