//! `http-json`: what a web service says of a release.
//!
//! | parameter | |
//! |---|---|
//! | `url` | https address; `{{ release }}`, `{{ namespace }}`, `{{ snapshot }}`, `{{ application }}`, `{{ author }}`, `{{ previousRelease }}` and `{{ previousSnapshot }}` stand for words of the release |
//! | `secret` | name of a Secret with the keys `token`, which is sent as bearer token, and `server`, such as `https://tracker.example`: no other server is sent the token |

use anyhow::{Context as _, ensure};
use fleet::Secret;
use fleet::outbound::{Credential, Request, Url};
use k8s_openapi::api::core::v1;
use serde_json::Value;

use super::{Input, OUTPUT_LIMIT, Params, required, template};
use crate::cluster::patiently;
use crate::context::Context;

pub(super) const PARAMS: [&str; 2] = ["secret", "url"];

/// Room for white space, which the output does not have.
const ANSWER_LIMIT: u64 = 4 * OUTPUT_LIMIT as u64;

pub(super) async fn collect(params: &Params<'_>, input: &Input, context: &Context) -> anyhow::Result<Value> {
    let url = template::fill(required(params, "url")?, &words(input)).context("parameter url")?;
    let mut request = Request::get(url.clone()).limit(ANSWER_LIMIT);
    if let Some(name) = params.get("secret").filter(|name| !name.is_empty()) {
        let credential = credential(name, &url, input, context).await;
        request = request.credential(&credential.with_context(|| format!("parameter secret: {name:?}"))?);
    }
    let answer = context.outbound.fetch(request).await?.success()?;
    Ok(answer.json()?)
}

fn words(input: &Input) -> [(&'static str, &str); 7] {
    let release = &input.release;
    let previous = input.previous.as_ref();
    [
        ("release", &release.name),
        ("namespace", &release.namespace),
        ("snapshot", &release.snapshot),
        ("application", &release.spec.application),
        ("author", &release.author),
        ("previousRelease", previous.map_or("", |previous| &previous.name)),
        ("previousSnapshot", previous.map_or("", |previous| &previous.snapshot)),
    ]
}

/// The token of a Secret, for its own server.
async fn credential(name: &str, url: &Url, input: &Input, context: &Context) -> anyhow::Result<Credential> {
    ensure!(
        input.secrets.iter().any(|secret| secret == name),
        "the collectors' list `secrets` does not have it: add it there"
    );
    let secrets = context.cluster().await?.api::<v1::Secret>(&input.namespace);
    let what = format!("get Secret {}/{name}", input.namespace);
    let secret = patiently(&what, async || secrets.get(name).await).await?;
    let mut data = secret.data.unwrap_or_default();
    let mut value = |key: &str| -> anyhow::Result<Secret<String>> {
        let bytes = data.remove(key).with_context(|| format!("it has no key {key}"))?;
        let text = String::from_utf8(bytes.0).map_err(|_| anyhow::anyhow!("its key {key} is no text"))?;
        Ok(Secret::new(text.trim().to_owned()))
    };
    let server = value("server")?;
    let server: Url = server.expose().parse().map_err(|_| anyhow::anyhow!("its key server is no address"))?;
    is_for(&server, url)?;
    Ok(Credential::bearer(url, &value("token")?)?)
}

/// Whoever may write the address must not choose who is sent the token.
fn is_for(server: &Url, url: &Url) -> anyhow::Result<()> {
    ensure!(
        server.origin() == url.origin(),
        "it is for {}, and the address is of {}",
        server.origin().ascii_serialization(),
        url.origin().ascii_serialization()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same("https://a.example", "https://a.example/x", true)]
    #[case::port("https://a.example", "https://a.example:8443/x", false)]
    #[case::other("https://a.example", "https://b.example/x", false)]
    #[case::suffix("https://a.example", "https://a.example.b.example/x", false)]
    #[case::plain("https://a.example", "http://a.example/x", false)]
    fn a_token_is_for_one_server(#[case] server: &str, #[case] url: &str, #[case] expected: bool) {
        assert_eq!(is_for(&server.parse().unwrap(), &url.parse().unwrap()).is_ok(), expected);
    }
}
