//! A namespace for one test.

use std::fmt;
use std::ops::Deref;
use std::thread;

use anyhow::Context as _;
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::DynamicObject;
use kube::{Client, Config};
use rand::Rng as _;

use super::ControlPlane;
use crate::{builders, manifests};

/// A namespace that no other test uses. Dereferences to its name.
#[derive(Debug)]
pub struct Namespace<'plane> {
    plane: &'plane ControlPlane,
    name: String,
}

impl ControlPlane {
    /// Makes a namespace `<prefix>-<8 random characters>`.
    ///
    /// It is deleted when dropped if controllers run to empty it; else it goes with the control plane.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<Namespace<'_>> {
        self.namespace_named(format!("{prefix}-{}", random_suffix())).await
    }

    pub(crate) async fn namespace_named(&self, name: String) -> anyhow::Result<Namespace<'_>> {
        Api::<v1::Namespace>::all(self.admin())
            .create(&PostParams::default(), &builders::namespace(&name))
            .await
            .with_context(|| format!("create Namespace {name}"))?;
        Ok(Namespace { plane: self, name })
    }
}

impl Namespace<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Applies every document as the administrator, those of namespaced kinds that name no namespace to this one.
    /// Returns them as stored. See [`ControlPlane::apply_yaml`].
    pub async fn apply_yaml(&self, text: &str) -> anyhow::Result<Vec<DynamicObject>> {
        manifests::apply(&self.plane.admin(), manifests::parse(text)?, &self.name).await
    }

    /// A client of a `ServiceAccount` of this namespace. See [`ControlPlane::client_as`].
    pub async fn client_as(&self, service_account: &str) -> anyhow::Result<Client> {
        self.plane.client_as(&self.name, service_account).await
    }
}

impl Deref for Namespace<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if self.plane.has_controllers() {
            let (config, name) = (self.plane.admin_config(), self.name.clone());
            // A runtime of its own: the test's may be ending. A failure leaves the namespace behind, no more.
            drop(thread::spawn(move || delete(config, &name)).join());
        }
    }
}

fn delete(config: Config, name: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let namespaces = Api::<v1::Namespace>::all(Client::try_from(config)?);
        namespaces.delete(name, &DeleteParams::background()).await?;
        Ok(())
    })
}

const SUFFIX_LENGTH: usize = 8;
const SUFFIX_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Characters that make a name unique, and that a DNS label may end in.
pub(crate) fn random_suffix() -> String {
    let mut rng = rand::rng();
    let mut character = || char::from(SUFFIX_ALPHABET[rng.random_range(0..SUFFIX_ALPHABET.len())]);
    (0..SUFFIX_LENGTH).map(|_| character()).collect()
}

/// Whether this may have been made by [`random_suffix`].
pub(crate) fn is_random_suffix(text: &str) -> bool {
    text.len() == SUFFIX_LENGTH && text.bytes().all(|byte| SUFFIX_ALPHABET.contains(&byte))
}
