//! The resolver `bundles`: images whose layers are Tasks, Pipelines and StepActions.

use std::time::Duration;

use pipelines_engine_api::annotations::bundle::{API_VERSION, KIND, NAME};
use pipelines_engine_api::{RefSource, annotations};
use registry::{Document, Reference};
use tekton::layer;

use super::answer::{Failure, MAX_DATA, Resource, YAML};
use super::params::Params;
use super::settings::BundleSettings;
use crate::image::pull_secrets;

/// Of one look-up. Shorter than what our client gives a single call.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Layers of a bundle.
const MAX_LAYERS: usize = 20;
/// Bytes of a layer as it lies in the registry; uncompressed it may be as large as it happens to be.
const MAX_LAYER: u64 = MAX_DATA + 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BundleQuestion {
    reference: Reference,
    kind: String,
    name: String,
    /// Whose logins are used, if anybody's.
    logins: Option<Logins>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Logins {
    namespace: String,
    secret: Option<String>,
    account: Option<String>,
}

impl BundleQuestion {
    pub(super) fn parse(
        namespace: &str,
        params: Params<'_>,
        settings: &BundleSettings,
    ) -> Result<Self, String> {
        let bundle = params.required("bundle")?;
        let reference = bundle.parse().map_err(|error| format!("param \"bundle\": {error}"))?;
        let name = params.required("name")?.to_owned();
        let kind = params.or("kind", &settings.kind, "default-kind")?.to_lowercase();
        let (secret, account) = (params.get("secret")?, params.get("serviceAccount")?);
        let logins = (secret.is_some() || account.is_some()).then(|| Logins {
            namespace: namespace.to_owned(),
            secret: secret.map(str::to_owned),
            account: account.map(str::to_owned),
        });
        Ok(Self { reference, kind, name, logins })
    }

    /// The registry that is asked.
    pub(super) fn host(&self) -> &str {
        self.reference.registry()
    }

    /// Whether the answer will always be the same.
    pub(super) fn is_immutable(&self) -> bool {
        self.reference.digest().is_some()
    }

    pub(super) async fn resolve(
        &self,
        client: &kube::Client,
        registry: &registry::Client,
    ) -> Result<Resource, Failure> {
        let Self { reference, kind, name, logins } = self;
        let keychain = match logins {
            None => registry::Keychain::default(),
            Some(Logins { namespace, secret, account }) => {
                let secrets: Vec<_> = secret.iter().cloned().collect();
                pull_secrets::keychain(client, namespace, account.as_deref(), &secrets).await.map_err(
                    |error| {
                        Failure::transient(format!("{reference}: its pull secrets cannot be read: {error}"))
                    },
                )?
            }
        };
        let wrong = |why: String| Failure::Permanent(format!("{reference} is no bundle: {why}"));
        let manifest = registry.manifest(reference, &keychain).await?;
        let Document::Image(image) = manifest.document()? else {
            return Err(wrong("it is an index of images".to_owned()));
        };
        if image.layers.len() > MAX_LAYERS {
            return Err(wrong(format!("it has {} layers, more than {MAX_LAYERS}", image.layers.len())));
        }
        let of = |layer: &registry::Descriptor, key: &str| layer.annotations.get(key).cloned();
        if let Some(bare) = image
            .layers
            .iter()
            .find(|layer| [KIND, NAME, API_VERSION].iter().any(|key| of(layer, key).is_none()))
        {
            return Err(wrong(format!(
                "layer {} has not all of the annotations {KIND}, {NAME}, {API_VERSION}",
                bare.digest
            )));
        }
        let is_wanted = |layer: &&registry::Descriptor| {
            of(layer, KIND).is_some_and(|found| found.eq_ignore_ascii_case(kind))
                && of(layer, NAME).as_ref() == Some(name)
        };
        let Some(layer) = image.layers.iter().find(is_wanted) else {
            return Err(Failure::Permanent(format!("bundle {reference} has no {kind} {name:?}")));
        };
        let blob = registry.blob(&manifest.reference, &layer.digest, MAX_LAYER, &keychain).await?;
        let data = layer::unpack(&blob, MAX_DATA)
            .map_err(|why| wrong(format!("layer of {kind} {name:?}: {why}")))?;
        let facts = [KIND, NAME, API_VERSION].map(|key| (key.to_owned(), of(layer, key).unwrap_or_default()));
        let content = (annotations::resolution::CONTENT_TYPE.as_str().to_owned(), YAML.to_owned());
        Ok(Resource {
            data,
            annotations: facts.into_iter().chain([content]).collect(),
            source: RefSource {
                uri: reference.name(),
                digest: [("sha256".to_owned(), manifest.digest.hex().to_owned())].into(),
                entry_point: name.clone(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
