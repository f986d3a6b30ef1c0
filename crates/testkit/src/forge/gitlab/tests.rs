//! What services do with GitLab, by an ordinary HTTP client.

mod flow;
mod limits;

use super::GitLab;
use crate::forge::Access;
use crate::forge::client::Client;
use crate::pki::Authority;

/// A GitLab with the private project `acme/platform/app`, of which alice is a maintainer through the group `acme`.
struct Fixture {
    gitlab: GitLab,
    /// As alice, by a token for everything.
    alice: Client,
    /// Says nothing about who it is.
    anonymous: Client,
}

/// The project as paths name it.
const APP: &str = "/projects/acme%2Fplatform%2Fapp";

fn fixture() -> Fixture {
    let authority = Authority::new("forge-ca").unwrap();
    let gitlab = GitLab::start(&authority).unwrap();
    gitlab.edit(|model| {
        model.organization("acme");
        model.member("acme", "alice", Access::Maintain).unwrap();
        model.repository("acme/platform/app").unwrap().make_private();
    });
    let anonymous = Client::new(&authority, &gitlab.api_url());
    let alice = anonymous.with("private-token", &gitlab.token("alice", &["api"]));
    Fixture { gitlab, alice, anonymous }
}
