//! Brings the entrypoint to the namespaces of runs (runtime specification, section 2.1): as an immutable ConfigMap, named by
//! what is in it. No pod is made before this process has seen that it holds nothing else.

use std::path::Path;
use std::sync::Arc;

use fleet::controller::chain;
use fleet::{Fleet, ObjectKey, Store, Write, Writer};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use kube::core::Expression;
use sha2::{Digest as _, Sha256};
use tokio::sync::{RwLock, RwLockWriteGuard};

use crate::config::{Config, EntrypointDelivery};
use crate::stores::{BY_NAMESPACE, owner_key};
use crate::task_run::decide::Awaited;
use crate::task_run::pod::volumes::{ENTRYPOINT_FILE, Entrypoint};

/// Label of the ConfigMaps, and where a store keeps the digest of their content instead of the content.
const MARK: &str = "fleet.konflux-ci.dev/entrypoint";

/// What a ConfigMap can hold, in bytes.
const MAX: usize = 1 << 20;

/// The entrypoint and the ConfigMaps that hold it.
#[derive(Clone)]
pub struct Delivery {
    program: Arc<Vec<u8>>,
    digest: String,
    /// The image that holds it.
    image: String,
    config_maps: Store<ConfigMap>,
    /// Open to all who bring the entrypoint, closed while it is taken away.
    gate: Arc<RwLock<()>>,
}

impl Delivery {
    /// Reads the program from `path`.
    pub fn new(fleet: &mut Fleet, path: &Path, image: String) -> Result<Self, fleet::Error> {
        let fault =
            |why: String| fleet::Error::Configuration(format!("--entrypoint {}: {why}", path.display()));
        let program = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        if program.len() >= MAX {
            return Err(fault(format!("{} bytes, and a ConfigMap holds less than {MAX}", program.len())));
        }
        let digest = digest(&program);
        let config_maps = fleet
            .store()
            .labels(Expression::Exists(MARK.to_owned()))
            .trim(trim)
            .index(BY_NAMESPACE, |map: &ConfigMap| {
                vec![owner_key(map.metadata.namespace.as_deref().unwrap_or_default(), "")]
            })
            .build();
        Ok(Self { program: Arc::new(program), digest, image, config_maps, gate: Arc::default() })
    }

    /// Those of them in `namespace`, of whatever version.
    pub fn of_namespace(&self, namespace: &str) -> Vec<Arc<ConfigMap>> {
        self.config_maps.indexed(BY_NAMESPACE, &owner_key(namespace, ""))
    }

    /// Keeps everybody from relying on a ConfigMap, or making one, for as long as the answer is held.
    pub async fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// The ConfigMaps that hold an entrypoint.
    pub fn config_maps(&self) -> &Store<ConfigMap> {
        &self.config_maps
    }

    fn name(&self) -> String {
        format!("tekton-entrypoint-{}", &self.digest[..16])
    }

    /// How the entrypoint gets into pods of `namespace`, once it is there.
    pub async fn ensure(&self, writer: &Writer, namespace: &str, config: &Config) -> Awaited<Entrypoint> {
        match config.features.entrypoint_delivery {
            EntrypointDelivery::ImageVolume => {
                return Awaited::Ready(Entrypoint::ImageVolume { image: self.image.clone() });
            }
            EntrypointDelivery::InitContainer => {
                return Awaited::Ready(Entrypoint::InitContainer { image: self.image.clone() });
            }
            EntrypointDelivery::Auto | EntrypointDelivery::ConfigMap => {}
        }
        let _open = self.gate.read().await;
        let key = ObjectKey::new(namespace, self.name());
        if self.config_maps.get(&key).is_none()
            && let Err(error) = writer.apply(&[Write::create(&self.config_map(&key))]).await
        {
            tracing::warn!(config_map = %key, error = %error, "The entrypoint was not delivered");
            return Awaited::Again(format!("the entrypoint could not be delivered: {}", chain(&error)));
        }
        match self.config_maps.get(&key) {
            Some(found) if digest_of(&found) == Some(&self.digest) => {
                Awaited::Ready(Entrypoint::ConfigMap { name: key.name })
            }
            Some(_) => Awaited::Failed(format!(
                "ConfigMap {key} does not hold the entrypoint of this engine: somebody else wrote it; delete it"
            )),
            None => Awaited::Again(format!("ConfigMap {key} with the entrypoint was not seen yet")),
        }
    }

    fn config_map(&self, key: &ObjectKey) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                labels: Some([(MARK.to_owned(), "true".to_owned())].into()),
                ..ObjectMeta::default()
            },
            immutable: Some(true),
            binary_data: Some(
                [(ENTRYPOINT_FILE.to_owned(), ByteString(self.program.as_ref().clone()))].into(),
            ),
            ..ConfigMap::default()
        }
    }
}

fn digest(program: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(program))
}

/// Keeps the digest of what a ConfigMap holds. One that can be changed, or holds more, has none.
fn trim(config_map: &mut ConfigMap) {
    let annotations = config_map.metadata.annotations.get_or_insert_default();
    annotations.clear();
    let data = config_map.binary_data.take().unwrap_or_default();
    let only = data.get(ENTRYPOINT_FILE).filter(|_| data.len() == 1 && config_map.immutable == Some(true));
    if let Some(program) = only {
        annotations.insert(MARK.to_owned(), digest(&program.0));
    }
    config_map.data = None;
}

fn digest_of(config_map: &ConfigMap) -> Option<&String> {
    config_map.metadata.annotations.as_ref()?.get(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_store_keeps_the_digest_of_what_cannot_change() {
        let map = |immutable: bool| -> ConfigMap {
            serde_json::from_value(json!({
                "metadata": {"name": "c", "annotations": {MARK: "forged"}}, "immutable": immutable,
                "binaryData": {"entrypoint": "eA=="},
            }))
            .unwrap()
        };
        let mut kept = map(true);
        trim(&mut kept);
        assert_eq!(digest_of(&kept), Some(&digest(b"x")));
        assert_eq!(kept.binary_data, None);
        let mut changeable = map(false);
        trim(&mut changeable);
        assert_eq!(digest_of(&changeable), None);
    }
}
