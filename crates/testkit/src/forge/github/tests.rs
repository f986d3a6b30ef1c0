//! What services do with GitHub, by an ordinary HTTP client.

mod delivery;
mod flow;
mod limits;
mod rights;

use super::GitHub;
use crate::forge::client::Client;
use crate::forge::{Access, App, AppKey};
use crate::pki::Authority;

/// A GitHub with the App 7 installed for all of `acme`, which has the public `acme/app` and the private `acme/secret`;
/// alice is its owner.
struct Fixture {
    github: GitHub,
    key: AppKey,
    installation: u64,
    /// Says nothing about who it is.
    anonymous: Client,
}

const APP: u64 = 7;

fn fixture() -> Fixture {
    let authority = Authority::new("forge-ca").unwrap();
    let github = GitHub::start(&authority).unwrap();
    let key = AppKey::generate().unwrap();
    let installation = github.edit(|model| {
        model.repository("acme/app").unwrap();
        model.repository("acme/secret").unwrap().make_private();
        model.member("acme", "alice", Access::Admin).unwrap();
        let (slug, name, owner) = ("konflux".to_owned(), "Konflux".to_owned(), "acme".to_owned());
        model.add_app(App { id: APP, slug, name, owner, public_key: key.public_der() });
        let permissions = [
            ("checks", "write"),
            ("contents", "write"),
            ("issues", "write"),
            ("members", "read"),
            ("pull_requests", "write"),
        ];
        model.install(APP, "acme", &permissions)
    });
    let anonymous = Client::new(&authority, &github.api_url());
    Fixture { github, key, installation, anonymous }
}

impl Fixture {
    /// As the App itself.
    fn app(&self) -> Client {
        let now = self.github.edit(|model| model.now());
        self.anonymous.bearer(&self.key.jwt(APP, now).unwrap())
    }

    /// As the App in its installation, with a token that is restricted so.
    async fn installed(&self, restriction: serde_json::Value) -> Client {
        let path = format!("/app/installations/{}/access_tokens", self.installation);
        let token = self.app().post(&path, restriction).await.is(201);
        self.anonymous.bearer(token.body["token"].as_str().unwrap())
    }

    fn user(&self, login: &str, scopes: &[&str]) -> Client {
        self.anonymous.bearer(&self.github.token(login, scopes))
    }
}
