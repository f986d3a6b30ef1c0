//! The registry that images are pushed to: that of the dev cluster, or any other.
use std::path::PathBuf;

use anyhow::Context as _;
use oci_client::{
    Client as OciClient, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use reqwest::header::HeaderValue;

use super::{
    REPOSITORY,
    image::{self, Image},
    layer,
};
use crate::cluster;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct RegistryArgs {
    /// Push to this registry instead of the dev cluster's: images become HOST/PREFIX/konflux/<service>.
    #[arg(long, value_name = "HOST[:PORT][/PREFIX]", requires = "username")]
    pub registry: Option<String>,
    /// Who pushes to `--registry`.
    #[arg(long, value_name = "USER", requires_all = ["registry", "password_file"])]
    pub username: Option<String>,
    /// File with the password or token of `--username`. Never an argument: those are seen by everybody on a machine.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Certificate authority of `--registry`, PEM, when it is none that the system trusts.
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_ca: Option<PathBuf>,
}

/// Where images go and how they are called from there.
pub struct Registry {
    /// What stands before `konflux/<service>`: host, port if any, path if any.
    pub prefix: String,
    /// Host and port that requests are sent to instead, when this machine cannot resolve the host's name.
    pub address: Option<String>,
    /// PEM.
    pub certificate_authority: Option<String>,
    pub username: String,
    pub password: String,
}

impl RegistryArgs {
    /// The registry that was asked for, else the one of the dev cluster.
    pub async fn resolve(&self, choice: &cluster::Choice) -> anyhow::Result<Registry> {
        let (Some(prefix), Some(username), Some(file)) =
            (&self.registry, &self.username, &self.password_file)
        else {
            return cluster_registry(choice);
        };
        let read = async |file: &PathBuf| {
            tokio::fs::read_to_string(file).await.with_context(|| format!("read {}", file.display()))
        };
        Ok(Registry {
            prefix: prefix.trim_end_matches('/').to_owned(),
            address: None,
            certificate_authority: match &self.registry_ca {
                Some(file) => Some(read(file).await?),
                None => None,
            },
            username: username.clone(),
            password: read(file).await?.trim_end_matches(['\r', '\n']).to_owned(),
        })
    }
}

/// The platform registry of the embedded cluster.
fn cluster_registry(choice: &cluster::Choice) -> anyhow::Result<Registry> {
    let registry = cluster::Cluster::load(choice)?.registry()?.with_context(|| {
        format!(
            "cluster {:?} is not ours and has no registry that we may push to: name one by --registry, with --username \
             and --password-file",
            choice.name
        )
    })?;
    Ok(Registry {
        prefix: registry.name.to_owned(),
        address: Some(registry.push_host()),
        certificate_authority: Some(registry.ca_pem),
        username: registry.push_user.to_owned(),
        password: registry.push_password.trim().to_owned(),
    })
}

impl Registry {
    pub fn client(&self) -> anyhow::Result<Client<'_>> {
        let certificates = self
            .certificate_authority
            .iter()
            .map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.as_bytes().to_vec() });
        let config = ClientConfig {
            protocol: ClientProtocol::Https,
            extra_root_certificates: certificates.collect(),
            // A development registry answers chunks correctly, but some hosted ones do not.
            use_monolithic_push: true,
            ..ClientConfig::default()
        };
        let oci = OciClient::try_from(config).context("set up TLS towards the registry")?;
        let auth = RegistryAuth::Basic(self.username.clone(), self.password.clone());
        Ok(Client { registry: self, oci, auth })
    }

    /// How an image is named where it is used.
    fn name(&self, service: &str) -> String {
        format!("{}/{REPOSITORY}/{service}", self.prefix)
    }

    /// How an image is named where it is sent to.
    pub fn target(&self, service: &str, tag: &str) -> anyhow::Result<Reference> {
        let name = format!("{}:{tag}", self.name(service));
        let wrong =
            || format!("{name} is no image reference: --registry takes HOST[:PORT][/PREFIX], --tag a tag");
        let named: Reference = name.parse().with_context(wrong)?;
        let Some(address) = &self.address else { return Ok(named) };
        Ok(Reference::with_tag(address.clone(), named.repository().to_owned(), tag.to_owned()))
    }
}

/// A connection to a registry, with credentials.
pub struct Client<'a> {
    registry: &'a Registry,
    oci: OciClient,
    auth: RegistryAuth,
}

impl Client<'_> {
    /// Sends what the registry has not yet, and returns the image's name by digest.
    pub async fn push(&self, service: &str, tag: &str, image: &Image) -> anyhow::Result<String> {
        let target = self.connect(service, tag).await?;
        for layer in &image.layers {
            self.push_blob(&target, &layer.digest, layer.data.to_vec()).await?;
        }
        self.push_blob(&target, &layer::digest(&image.config), image.config.clone()).await?;
        self.push_manifest(&target, image.manifest.clone(), image::MANIFEST_TYPE).await?;
        Ok(format!("{}@{}", self.registry.name(service), image.digest))
    }

    /// Where an image is sent to. Tells the client who we are.
    pub async fn connect(&self, service: &str, tag: &str) -> anyhow::Result<Reference> {
        let target = self.registry.target(service, tag)?;
        self.oci.store_auth_if_needed(target.resolve_registry(), &self.auth).await;
        Ok(target)
    }

    async fn push_blob(&self, target: &Reference, digest: &str, data: Vec<u8>) -> anyhow::Result<()> {
        if self
            .oci
            .blob_exists(target, digest)
            .await
            .with_context(|| self.failed("ask for a layer of", target))?
        {
            return Ok(());
        }
        self.oci
            .push_blob(target, data, digest)
            .await
            .with_context(|| self.failed("push a layer of", target))?;
        Ok(())
    }

    pub async fn push_manifest(
        &self,
        target: &Reference,
        manifest: Vec<u8>,
        kind: &'static str,
    ) -> anyhow::Result<()> {
        let kind = HeaderValue::from_static(kind);
        self.oci
            .push_manifest_raw(target, manifest, kind)
            .await
            .with_context(|| self.failed("push", target))?;
        Ok(())
    }

    /// The manifest under a tag, as the registry keeps it.
    pub async fn pull_manifest(&self, target: &Reference) -> anyhow::Result<Vec<u8>> {
        let (manifest, _) = self
            .oci
            .pull_manifest_raw(target, &self.auth, &[image::MANIFEST_TYPE])
            .await
            .with_context(|| self.failed("read", target))?;
        Ok(manifest.to_vec())
    }

    /// The image's name by digest.
    pub fn name_by_digest(&self, service: &str, digest: &str) -> String {
        format!("{}@{digest}", self.registry.name(service))
    }

    fn failed(&self, what: &str, target: &Reference) -> String {
        format!(
            "{what} {target} as {}: is the registry up (`cargo xtask status`), and may this user write there?",
            self.registry.username
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(prefix: &str, address: Option<&str>) -> Registry {
        Registry {
            prefix: prefix.to_owned(),
            address: address.map(str::to_owned),
            certificate_authority: None,
            username: "u".to_owned(),
            password: "p".to_owned(),
        }
    }

    #[test]
    fn is_sent_to_the_address_but_named_by_the_host() {
        let registry = registry("registry.test/team", Some("192.0.2.1:5000"));
        assert_eq!(registry.name("a"), "registry.test/team/konflux/a");
        assert_eq!(registry.target("a", "t").unwrap().to_string(), "192.0.2.1:5000/team/konflux/a:t");
    }

    #[test]
    fn other_registries_are_sent_to_by_name() {
        let target = registry("registry.test:8443", None).target("a", "t").unwrap();
        assert_eq!(target.to_string(), "registry.test:8443/konflux/a:t");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(registry("https://registry.test", None).target("a", "t").is_err());
        assert!(registry("registry.test", None).target("a", "no tag").is_err());
    }
}
