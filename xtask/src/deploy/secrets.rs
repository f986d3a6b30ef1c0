//! What an installation needs and nobody has to invent: made when absent, never changed afterwards. In the dev cluster the
//! forge has its webhook secret first, and the Secrets take it over.
//!
//! Rotation is an operator's decision: docs/how-to/rotate-secrets.md.
use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use attest::PrivateKey;
use image_controller_api::names::REGISTRY_TOKEN_KEY_SECRET;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use serde_json::json;
use testkit::pki::Authority;

use super::{Object, apply::FIELD_MANAGER};

/// Values by key of a Secret.
pub type Values = BTreeMap<String, String>;

/// Values that belong together, and the Secrets that hold some of them. A service that comes later adds a row.
struct Material {
    make: fn() -> anyhow::Result<Values>,
    /// The first is the original: it holds all of the values.
    places: &'static [Place],
}

/// A Secret. It is made only where the overlay has its namespace.
struct Place {
    namespace: &'static str,
    name: &'static str,
    keys: &'static [&'static str],
}

const WEBHOOK_KEYS: [&str; 3] = ["webhook.secret", "gitlab.webhook.secret", GITEA_WEBHOOK];
/// Key of what signs Gitea's webhooks.
pub const GITEA_WEBHOOK: &str = "gitea.webhook.secret";

/// Keys of what signs tokens of the tenants' registry.
pub const TOKEN_CERTIFICATE: &str = "tls.crt";
pub const TOKEN_KEY: &str = "tls.key";

/// Keys of who owns the database of results.
const DATABASE_USER: &str = "POSTGRES_USER";
const DATABASE_PASSWORD: &str = "POSTGRES_PASSWORD";

/// Every Secret that `deploy` makes (contracts.md, names).
const NEEDED: [Material; 4] = [
    Material {
        make: signing_key,
        places: &[
            Place {
                namespace: "tekton-chains",
                name: "signing-secrets",
                keys: &["cosign.key", "cosign.password", "cosign.pub"],
            },
            Place { namespace: "openshift-pipelines", name: "public-key", keys: &["cosign.pub"] },
        ],
    },
    Material {
        make: registry_token_key,
        places: &[Place {
            namespace: "image-controller",
            name: REGISTRY_TOKEN_KEY_SECRET,
            keys: &[TOKEN_CERTIFICATE, TOKEN_KEY],
        }],
    },
    Material {
        make: database_account,
        places: &[Place {
            namespace: "tekton-results",
            name: "tekton-results-postgres",
            keys: &[DATABASE_USER, DATABASE_PASSWORD],
        }],
    },
    Material {
        make: webhook_secrets,
        places: &[
            Place { namespace: "pipelines-as-code", name: "pipelines-as-code-secret", keys: &WEBHOOK_KEYS },
            Place { namespace: "build-service", name: "pipelines-as-code-secret", keys: &WEBHOOK_KEYS },
            Place { namespace: "integration-service", name: "pipelines-as-code-secret", keys: &WEBHOOK_KEYS },
            Place { namespace: "sprayproxy", name: "pipelines-as-code-secret", keys: &WEBHOOK_KEYS },
        ],
    },
];

/// A key of P-256 under a random password, in the files that cosign reads.
fn signing_key() -> anyhow::Result<Values> {
    let key = PrivateKey::generate()?;
    let password = data_encoding::BASE64URL_NOPAD.encode(&random::<24>()?);
    let values = [
        ("cosign.key", key.to_encrypted(&password)?),
        ("cosign.pub", key.public().to_pem()),
        ("cosign.password", password),
    ];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The registry has to be told the certificate: docs/how-to/use-a-registry-with-tokens.md.
fn registry_token_key() -> anyhow::Result<Values> {
    let authority = Authority::new("image-registry-tokens")?;
    let values = [(TOKEN_CERTIFICATE, authority.cert_pem().to_owned()), (TOKEN_KEY, authority.key_pem())];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The database that ships takes it when it is made; for another one, write the Secret before you deploy.
fn database_account() -> anyhow::Result<Values> {
    let values = [
        (DATABASE_USER, "results".to_owned()),
        (DATABASE_PASSWORD, data_encoding::HEXLOWER.encode(&random::<24>()?)),
    ];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// One secret per provider, so that a forge that leaks its own tells nothing of the others'.
fn webhook_secrets() -> anyhow::Result<Values> {
    let value = |key: &str| anyhow::Ok((key.to_owned(), data_encoding::HEXLOWER.encode(&random::<32>()?)));
    WEBHOOK_KEYS.into_iter().map(value).collect()
}

/// Bytes that nobody can guess.
pub fn random<const LENGTH: usize>() -> anyhow::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(bytes)
}

/// Makes the Secrets that are absent in these namespaces, and returns which. Values of `given` are taken as they are where
/// others would be made.
pub async fn generate(client: &Client, namespaces: &[&str], given: &Values) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for material in &NEEDED {
        let mut held = Vec::new();
        for place in material.places.iter().filter(|place| namespaces.contains(&place.namespace)) {
            let api: Api<Secret> = Api::namespaced(client.clone(), place.namespace);
            let live = api.get_opt(place.name).await.with_context(|| format!("read Secret {place}"))?;
            held.push((place, api, live));
        }
        let existing: Vec<Values> =
            held.iter().filter_map(|(_, _, live)| live.as_ref()).map(values).collect();
        let absent: Vec<_> =
            held.iter().filter(|(_, _, live)| live.is_none()).map(|(place, _, _)| *place).collect();
        let new = fill(material, given, &existing, &absent)?;
        for (place, api, _) in &held {
            if let Some(secret) =
                new.iter().find(|secret| secret.metadata.namespace.as_deref() == Some(place.namespace))
            {
                let parameters =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                api.create(&parameters, secret).await.with_context(|| format!("create Secret {place}"))?;
                made.push(place.to_string());
            }
        }
    }
    Ok(made)
}

/// The Secrets to create: with the values of those that exist, else with new ones. Copies of one thing never differ.
fn fill(
    material: &Material,
    given: &Values,
    existing: &[Values],
    absent: &[&Place],
) -> anyhow::Result<Vec<Secret>> {
    if absent.is_empty() {
        return Ok(Vec::new());
    }
    let values = if existing.is_empty() {
        let mut values = (material.make)()?;
        for (key, value) in &mut values {
            if let Some(given) = given.get(key) {
                value.clone_from(given);
            }
        }
        values
    } else {
        existing.iter().rev().flat_map(Clone::clone).collect()
    };
    let secret = |place: &&Place| {
        let value = |key: &&str| {
            let value = values.get(*key).ok_or_else(|| {
                anyhow!(
                    "Secret {place} is absent, and its key {key} cannot be copied: no other Secret of the kind has it. \
                     Put the key there, or delete those others to have all made anew"
                )
            })?;
            anyhow::Ok(((*key).to_owned(), ByteString(value.clone().into_bytes())))
        };
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(place.name.to_owned()),
                namespace: Some(place.namespace.to_owned()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "konflux-rs".to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(place.keys.iter().map(value).collect::<anyhow::Result<_>>()?),
            ..Secret::default()
        })
    };
    absent.iter().map(secret).collect()
}

/// Values that are no text are none that we made.
fn values(secret: &Secret) -> Values {
    let data = secret.data.iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

/// The `ConfigMap` `trusted-ca` for each of our services, when there is an authority of our own to trust.
pub fn trusted_ca(namespaces: &[&str], bundle: Option<&str>) -> Vec<Object> {
    let Some(bundle) = bundle else { return Vec::new() };
    let map = |namespace: &&str| Object {
        content: json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "trusted-ca",
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "konflux-rs"},
            },
            "data": {"ca-bundle.crt": bundle},
        }),
        origin: None,
    };
    namespaces.iter().map(map).collect()
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPIED: Material = Material {
        make: || {
            Ok([("a", "new"), ("b", "new")].map(|(key, value)| (key.to_owned(), value.to_owned())).into())
        },
        places: &[
            Place { namespace: "one", name: "s", keys: &["a", "b"] },
            Place { namespace: "two", name: "t", keys: &["a"] },
        ],
    };

    fn filled(existing: &[&[(&str, &str)]], absent: &[&Place]) -> anyhow::Result<Vec<Values>> {
        let owned =
            |pairs: &&[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let existing: Vec<Values> = existing.iter().map(owned).collect();
        let given = [("b", "given"), ("of another", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        Ok(fill(&COPIED, &given, &existing, absent)?.iter().map(values).collect())
    }

    fn pairs(values: &Values) -> Vec<(&str, &str)> {
        values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn new_installation_gets_one_value_everywhere() {
        let [one, two] = COPIED.places else { panic!() };
        let made = filled(&[], &[one, two]).unwrap();
        assert_eq!(pairs(&made[0]), [("a", "new"), ("b", "given")]);
        assert_eq!(pairs(&made[1]), [("a", "new")]);
    }

    #[test]
    fn what_exists_is_copied_not_made_again() {
        let [_, two] = COPIED.places else { panic!() };
        let made = filled(&[&[("a", "old"), ("b", "old")]], &[two]).unwrap();
        assert_eq!(pairs(&made[0]), [("a", "old")]);
        assert!(filled(&[&[("a", "old")]], &[]).unwrap().is_empty());
    }

    #[test]
    fn half_a_secret_is_not_completed_by_guessing() {
        let [one, _] = COPIED.places else { panic!() };
        let refusal = filled(&[&[("a", "old")]], &[one]).unwrap_err().to_string();
        assert!(refusal.contains("Secret one/s") && refusal.contains("key b"), "{refusal}");
    }

    #[test]
    fn every_material_has_the_keys_of_its_places() {
        for material in &NEEDED {
            let all: Vec<&Place> = material.places.iter().collect();
            assert_eq!(fill(material, &Values::new(), &[], &all).unwrap().len(), all.len());
        }
    }

    #[test]
    fn two_random_values_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
