//! The Secret by which the steps of a run reach the repository (spec section 4.10).

use fleet::Secret as Hidden;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pipelines_as_code_api::annotations::written;
use pipelines_as_code_api::labels;
use pipelines_as_code_api::names::git_auth_keys;
use pipelines_engine_api::PipelineRun;
use url::Url;

use super::label::label_value;
use super::{Making, metadata};

/// An address that Git cannot clone from with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the repository is cloned from {0:?}, which is no address with http:// or https:// and a host")]
pub struct InvalidCloneUrl(String);

/// The Secret of `run`, as the API server has it: it goes with the run. `user` is whom the token belongs to; empty means `git`.
pub fn git_auth_secret(
    making: &Making<'_>,
    run: &PipelineRun,
    token: &Hidden<String>,
    user: &str,
) -> Result<Secret, InvalidCloneUrl> {
    let invalid = || InvalidCloneUrl(making.clone_url.to_owned());
    let url = Url::parse(making.clone_url).map_err(|_| invalid())?;
    let host = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())).ok_or_else(invalid)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let scheme = url.scheme();
    let user = escaped(if user.is_empty() { "git" } else { user });
    let credentials =
        Hidden::new(format!("{scheme}://{user}:{}@{host}{}", escaped(token.expose()), url.path()));
    let config = format!("[credential \"{scheme}://{host}\"]\n\thelper = store\n");
    let data = [
        (git_auth_keys::CONFIG, config.into_bytes()),
        (git_auth_keys::CREDENTIALS, credentials.expose().clone().into_bytes()),
        (git_auth_keys::TOKEN, token.expose().clone().into_bytes()),
    ];
    Ok(Secret {
        metadata: metadata_of(making, run),
        data: Some(data.map(|(key, value)| (key.to_owned(), ByteString(value))).into()),
        ..Secret::default()
    })
}

fn metadata_of(making: &Making<'_>, run: &PipelineRun) -> ObjectMeta {
    let organisation = metadata::organisation(making.event);
    let name = making.event.repository.name();
    let labels = [
        (labels::MANAGED_BY, labels::MANAGED_BY_US.to_owned()),
        (labels::URL_ORG, label_value(&organisation)),
        (labels::URL_REPOSITORY, label_value(name)),
    ];
    let annotations = [
        (written::URL, making.event.url.clone()),
        (written::SHA, metadata::commit(making.event)),
        (written::URL_ORG, organisation),
        (written::URL_REPOSITORY, name.to_owned()),
        (fleet_api::keys::CAUSE, making.delivery.to_owned()),
    ];
    ObjectMeta {
        name: written::GIT_AUTH_SECRET.of(&run.metadata.annotations).map(str::to_owned),
        namespace: run.namespace(),
        labels: Some(labels.map(|(key, value)| (key.into(), value)).into()),
        annotations: Some(annotations.map(|(key, value)| (key.into(), value)).into()),
        owner_references: Some(vec![OwnerReference {
            api_version: PipelineRun::api_version(&()).into_owned(),
            kind: PipelineRun::kind(&()).into_owned(),
            name: run.name_any(),
            uid: run.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    }
}

/// What RFC 3986 calls unreserved stays: scripts that look for a token as `ghs_…` should find it.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As a part of a URL that may hold anything: `@` and `%` too.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}
