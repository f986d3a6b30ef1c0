//! Brings credentials into a tenant's namespace: as a Secret, or through a `RemoteSecret` that another service delivers.
//!
//! ```text
//! Secret:        Secret <name>, owned by the ImageRepository; links.rs links it
//! RemoteSecret:  RemoteSecret <name> + Secret upload-secret-<name> ──▶ service-provider-integration ──▶ Secret <name>, linked
//! ```

use std::collections::BTreeMap;

use fleet::{ObjectKey, Presence, Secret, Write, WriteError, Writer};
use image_controller_api::names::{PULL_SERVICE_ACCOUNT, PUSH_SERVICE_ACCOUNT, UPLOAD_SECRET_PREFIX};
use image_controller_api::{ImageRepository, annotations, labels};
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;

use crate::args::CredentialsMode;
use crate::credentials::{self, TYPE};
use crate::image_repository::shape;
use crate::remote_secret::{
    LinkableSecret, RemoteSecret, RemoteSecretSpec, RemoteSecretTarget, SecretLink, ServiceAccountLink,
};

/// How credentials come to where they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Secret,
    RemoteSecret,
}

impl Delivery {
    /// For one that is made now; `None` while nobody knows whether there are `RemoteSecret`s.
    pub(crate) fn now(mode: CredentialsMode, remote_secrets: Presence) -> Option<Self> {
        match (mode, remote_secrets) {
            (CredentialsMode::Secret, _) | (CredentialsMode::Auto, Presence::Absent) => Some(Self::Secret),
            (CredentialsMode::RemoteSecret, _) | (CredentialsMode::Auto, Presence::Listed) => {
                Some(Self::RemoteSecret)
            }
            (CredentialsMode::Auto, Presence::Unknown) => None,
        }
    }

    /// Of one that was made: fixed then, whatever is installed later.
    pub(crate) fn of(object: &ImageRepository) -> Option<Self> {
        let credentials = shape::credentials(object)?;
        credentials.push_secret.as_ref()?;
        let is_remote = credentials.push_remote_secret.as_ref().is_some_and(|name| !name.is_empty());
        Some(if is_remote { Self::RemoteSecret } else { Self::Secret })
    }
}

/// What credentials are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Push,
    Pull,
}

/// Why they were not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("look up Secret {name}")]
    Read { name: String, source: kube::Error },
    /// Of somebody else; taking it over could give credentials away.
    #[error(
        "Secret {0} exists and does not belong to this ImageRepository; delete it, and the credentials come by themselves"
    )]
    Taken(String),
}

/// Delivers to one namespace.
pub(crate) struct Deliverer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) writer: &'a Writer,
}

impl Deliverer<'_> {
    /// Has the Secret `name` carry these logins. Of a Secret that is there already, its owner has to be `object`.
    pub(crate) async fn deliver(
        &self,
        object: &ImageRepository,
        delivery: Delivery,
        purpose: Purpose,
        name: &str,
        content: &Secret<Vec<u8>>,
    ) -> Result<(), Error> {
        match delivery {
            Delivery::Secret => {
                let secret = secret(object, name, labels_of(object, purpose), BTreeMap::new(), content);
                self.put(object, secret, content).await
            }
            Delivery::RemoteSecret => {
                Box::pin(self.writer.apply(&[Write::create(&remote_secret(object, purpose, name))])).await?;
                let upload = format!("{UPLOAD_SECRET_PREFIX}{name}");
                let labels = [(labels::UPLOAD_SECRET.into(), labels::UPLOAD_SECRET_REMOTE_SECRET.to_owned())];
                let notes = [(annotations::REMOTE_SECRET_NAME.into(), name.to_owned())];
                let secret = secret(object, &upload, labels.into(), notes.into(), content);
                self.put(object, secret, content).await
            }
        }
    }

    /// Creates the Secret, or brings the one that is there up to date.
    async fn put(
        &self,
        object: &ImageRepository,
        secret: v1::Secret,
        content: &Secret<Vec<u8>>,
    ) -> Result<(), Error> {
        let name = secret.name_any();
        let write = match self.find(&ObjectKey::of(object).sibling(&name)).await? {
            None => Some(Write::create(&secret)),
            Some(present) => {
                let uid = object.metadata.uid.as_deref().unwrap_or_default();
                if present.owner_references().iter().all(|owner| owner.uid != uid) {
                    return Err(Error::Taken(name));
                }
                (!credentials::is_in(&present, content))
                    .then(|| Write::merge(&present, json!({"data": credentials::data(content)})))
            }
        };
        match Box::pin(self.writer.apply(write.as_slice())).await {
            Err(WriteError::Taken { .. }) => Err(Error::Taken(name)),
            outcome => Ok(outcome?),
        }
    }

    /// The Secret of this name.
    pub(crate) async fn find(&self, key: &ObjectKey) -> Result<Option<v1::Secret>, Error> {
        let secrets: Api<v1::Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        secrets.get_opt(&key.name).await.map_err(|source| Error::Read { name: key.name.clone(), source })
    }
}

fn secret(
    object: &ImageRepository,
    name: &str,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    content: &Secret<Vec<u8>>,
) -> v1::Secret {
    v1::Secret {
        metadata: metadata(object, name, labels, annotations),
        type_: Some(TYPE.to_owned()),
        data: Some(credentials::data(content)),
        ..v1::Secret::default()
    }
}

fn remote_secret(object: &ImageRepository, purpose: Purpose, name: &str) -> RemoteSecret {
    let account = match purpose {
        Purpose::Push => PUSH_SERVICE_ACCOUNT,
        Purpose::Pull => PULL_SERVICE_ACCOUNT,
    };
    let reference = v1::LocalObjectReference { name: account.to_owned() };
    RemoteSecret {
        metadata: metadata(object, name, labels_of(object, purpose), BTreeMap::new()),
        spec: RemoteSecretSpec {
            secret: LinkableSecret {
                name: name.to_owned(),
                type_: TYPE.to_owned(),
                linked_to: vec![SecretLink { service_account: ServiceAccountLink { reference } }],
            },
            targets: vec![RemoteSecretTarget { namespace: object.namespace().unwrap_or_default() }],
        },
        status: None,
    }
}

/// Made by the platform; those to pull with also say for what.
fn labels_of(object: &ImageRepository, purpose: Purpose) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([(labels::INTERNAL.into(), "true".to_owned())]);
    if purpose == Purpose::Pull {
        for label in [labels::APPLICATION, labels::COMPONENT] {
            if let Some(value) = label.of(&object.metadata.labels) {
                all.insert(label.into(), value.to_owned());
            }
        }
    }
    all
}

fn metadata(
    object: &ImageRepository,
    name: &str,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: object.namespace(),
        labels: Some(labels),
        annotations: Some(annotations).filter(|all| !all.is_empty()),
        owner_references: Some(vec![owner(object)]),
        ..ObjectMeta::default()
    }
}

fn owner(object: &ImageRepository) -> OwnerReference {
    OwnerReference {
        api_version: ImageRepository::api_version(&()).into_owned(),
        kind: ImageRepository::kind(&()).into_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}
