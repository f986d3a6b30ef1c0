//! Secrets that both sides of a webhook, or of `/incoming`, have to know.

use build_service_api::ErrorId;
use build_service_api::labels::{PART_OF, PART_OF_APPSTUDIO};
use build_service_api::names::{INCOMING_SECRET_KEY, INCOMING_SECRET_SUFFIX, WEBHOOKS_SECRET};
use data_encoding::HEXLOWER;
use fleet::{Write, names, patience};
use k8s_openapi::api::core::v1;
use kube::{Api, ResourceExt as _};
use pipelines_as_code_api::Repository;
use serde_json::json;

use crate::Context;
use crate::failure::Failure;
use crate::owner;
use crate::request::Stop;

/// Bytes of chance in a value, which has twice as many digits.
const CHANCE: usize = 20;

/// How often a value is looked for that somebody else may make at the same time.
const TRIES: usize = 4;

/// What the forge signs the events of a repository with: one for all Components of it in this namespace.
pub(super) async fn of_webhook(
    context: &Context,
    namespace: &str,
    url: &str,
) -> Result<fleet::Secret<String>, Stop> {
    let mut secret = named(namespace, WEBHOOKS_SECRET);
    secret.labels_mut().insert(PART_OF.into(), PART_OF_APPSTUDIO.to_owned());
    value(context, secret, &webhook_key(url)).await
}

/// The key for a repository: its URL, with `_` for what no key may have.
pub(super) fn webhook_key(url: &str) -> String {
    let plain = crate::git::plain_url(url);
    plain.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
}

/// What callers of `/incoming` for a Repository have to know. It goes with the Repository.
pub(super) async fn of_incoming(
    context: &Context,
    repository: &Repository,
) -> Result<fleet::Secret<String>, Stop> {
    let namespace = repository.namespace().unwrap_or_default();
    let mut secret = named(&namespace, &incoming_name(repository));
    secret.metadata.owner_references = Some(vec![owner::of(repository)]);
    value(context, secret, INCOMING_SECRET_KEY).await
}

/// Name of the Secret with what callers of `/incoming` have to know.
pub(super) fn incoming_name(repository: &Repository) -> String {
    names::fit(253, &repository.name_any(), INCOMING_SECRET_SUFFIX)
}

/// Deletes the Secret with what callers of `/incoming` have to know, if it is the Repository's.
pub(super) async fn delete_incoming(context: &Context, repository: &Repository) -> Result<(), Stop> {
    let namespace = repository.namespace().unwrap_or_default();
    let found = read(context, &namespace, &incoming_name(repository)).await?;
    let ours = found.filter(|secret| owner::owns(repository, secret));
    let writes: Vec<_> = ours.iter().map(Write::delete).collect();
    context.write(&writes).await.map_err(|error| Stop::of_write(&error))
}

fn named(namespace: &str, name: &str) -> v1::Secret {
    let mut secret = v1::Secret { type_: Some("Opaque".to_owned()), ..v1::Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = Some(namespace.to_owned());
    secret
}

/// The value under `key`: that which is there, else a new one. `wanted` is the Secret to make where there is none.
async fn value(context: &Context, wanted: v1::Secret, key: &str) -> Result<fleet::Secret<String>, Stop> {
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    for _ in 0..TRIES {
        let fresh = || HEXLOWER.encode(&rand::random::<[u8; CHANCE]>());
        let write = if let Some(found) = read(context, &namespace, &name).await? {
            let data = found.data.as_ref().and_then(|data| data.get(key));
            let text = data.and_then(|value| String::from_utf8(value.0.clone()).ok());
            if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
                return Ok(fleet::Secret::new(text.trim().to_owned()));
            }
            Write::merge(&found, json!({"stringData": {key: fresh()}}))
        } else {
            let data = [(key.to_owned(), fresh())].into();
            Write::create(&v1::Secret { string_data: Some(data), ..wanted.clone() })
        };
        match context.write(&[write]).await {
            // Read again, also after a success: what stands there counts, whoever has written it.
            Ok(()) => {}
            Err(fleet::WriteError::Refused { source: kube::Error::Api(status), .. })
                if status.is_conflict() => {}
            Err(fleet::WriteError::Taken { .. }) => {
                let detail = format!(
                    "Secret {namespace}/{name} exists, but is not this Repository's; delete it, and it is made anew"
                );
                return Err(Failure::permanent(ErrorId::Unknown, detail).into());
            }
            Err(error) => return Err(Stop::of_write(&error)),
        }
    }
    Err(Failure::transient(format!("Secret {namespace}/{name} is written by many at once")).into())
}

async fn read(context: &Context, namespace: &str, name: &str) -> Result<Option<v1::Secret>, Stop> {
    let secrets: Api<v1::Secret> = Api::namespaced(context.client.clone(), namespace);
    let read = patience::read(|| secrets.get_opt(name)).await;
    Ok(read.map_err(|error| Failure::of_api(&format!("read Secret {namespace}/{name}"), &error))?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://git.example/acme/app", "https___git.example_acme_app")]
    #[case("https://git.example:3000/acme/my-app.git", "https___git.example_3000_acme_my-app")]
    fn a_repository_has_one_key(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(webhook_key(url), expected);
    }
}
