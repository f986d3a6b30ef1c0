//! The Secret in which a service's replicas share their certificate.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::json;

use super::CertificateBundle;
use crate::Secret;

const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// `get`, `create` and `patch` of one Secret of type `kubernetes.io/tls`; no list, no watch.
pub(super) struct Store {
    secrets: Api<KubeSecret>,
    pub(super) name: String,
}

/// The Secret as it was read.
pub(super) struct Stored {
    resource_version: Option<String>,
    /// Or why it cannot be served with.
    pub(super) bundle: Result<CertificateBundle, String>,
}

impl Store {
    pub(super) fn new(client: Client, namespace: &str, name: String) -> Self {
        Self { secrets: Api::namespaced(client, namespace), name }
    }

    pub(super) async fn read(&self) -> Result<Option<Stored>, Error> {
        Ok(self.secrets.get_opt(&self.name).await?.map(|secret| Stored {
            bundle: bundle(secret.data.unwrap_or_default()),
            resource_version: secret.metadata.resource_version,
        }))
    }

    /// Writes `bundle` over what was read; a conflict if it has changed since.
    pub(super) async fn write(&self, over: Option<&Stored>, bundle: &CertificateBundle) -> Result<(), Error> {
        let data = BTreeMap::from([
            (CA.to_owned(), ByteString(bundle.ca_pem.clone().into_bytes())),
            (CERTIFICATE.to_owned(), ByteString(bundle.cert_pem.clone().into_bytes())),
            (KEY.to_owned(), ByteString(bundle.key_pem.expose().clone().into_bytes())),
        ]);
        if let Some(over) = over {
            let patch = json!({ "metadata": { "resourceVersion": over.resource_version }, "data": data });
            self.secrets.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        } else {
            let secret = KubeSecret {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(data),
                ..KubeSecret::default()
            };
            self.secrets.create(&PostParams::default(), &secret).await?;
        }
        Ok(())
    }
}

fn bundle(mut data: BTreeMap<String, ByteString>) -> Result<CertificateBundle, String> {
    let mut take = |key: &str| {
        let ByteString(bytes) = data.remove(key).ok_or_else(|| format!("key {key:?} is missing"))?;
        // The error would show the bytes.
        String::from_utf8(bytes).map_err(|_| format!("key {key:?} is no text"))
    };
    let key = Secret::new(take(KEY)?);
    let (ca, certificate) = (take(CA)?, take(CERTIFICATE)?);
    CertificateBundle::parse(ca, certificate, key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty(&[], "\"tls.key\" is missing")]
    #[case::only_a_key(&[(KEY, "x")], "\"ca.crt\" is missing")]
    #[case::nonsense(&[(KEY, "x"), (CA, "y"), (CERTIFICATE, "z")], "the certificate is no PEM")]
    fn says_what_is_wrong(#[case] data: &[(&str, &str)], #[case] reason: &str) {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
        let error = bundle(data.collect()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn shows_no_bytes_of_a_key_that_is_no_text() {
        let data = BTreeMap::from([(KEY.to_owned(), ByteString(vec![b'h', b'i', 0xff]))]);
        assert_eq!(bundle(data).unwrap_err(), "key \"tls.key\" is no text");
    }
}
