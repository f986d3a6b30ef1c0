//! An image: layers, a configuration and a manifest, all as the bytes that a registry stores.
use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    binary,
    build::Binary,
    git,
    layer::{self, File, Layer},
    revision::Revision,
};
use crate::program::Program;

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// `nonroot` of the base layer.
pub(super) const USER: &str = "65532:65532";

pub struct Image {
    /// In the words of OCI: `amd64`, `arm64`.
    pub architecture: &'static str,
    pub layers: Vec<Layer>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
    /// Digest of `manifest`: the name by which the image is deployed.
    pub digest: String,
    /// Digest of the binary's layer: what the image does, whatever its labels say.
    pub content: String,
}

impl Image {
    /// Bytes that a node downloads.
    pub fn size(&self) -> usize {
        self.layers.iter().map(|layer| layer.data.len()).sum::<usize>()
            + self.config.len()
            + self.manifest.len()
    }
}

/// The service that brings the entrypoint to namespaces, and so has it in its own image.
const DELIVERER: &str = "pipelines-engine";

/// Packs a service's binary on the base layer, beside the entrypoint if the service is the one that delivers it, and beside Git
/// if it is one that fetches.
pub async fn pack(
    binary: Binary,
    base: Layer,
    entrypoint: &Binary,
    revision: &Revision,
) -> anyhow::Result<Image> {
    let path = format!("usr/bin/{}", binary.service);
    let (architecture, program) = program_layer(&binary, path.clone(), 0o755).await?;
    let process = Process {
        entrypoint: vec![format!("/{path}")],
        environment: &["PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        user: USER,
    };
    let mut layers = vec![("certificate authorities, users", base)];
    if binary.service == DELIVERER {
        let (_, delivered) = program_layer(entrypoint, entrypoint.service.clone(), 0o555).await?;
        layers.push((entrypoint.service.as_str(), delivered));
    }
    if git::IMAGES.contains(&binary.service.as_str()) {
        layers.push(("git", git::layer().await?));
    }
    layers.push((binary.service.as_str(), program));
    assemble(&binary.service, architecture, layers, &process, revision)
}

/// Packs the entrypoint, and nothing beside it: what a volume of this image shows in pods is the program. As a container, it
/// ends at once; the engine puts it in the place of a sidecar that has to end.
pub async fn pack_entrypoint(binary: Binary, revision: &Revision) -> anyhow::Result<Image> {
    // For every user: steps run as whoever their image or their Task says.
    let (architecture, program) = program_layer(&binary, binary.service.clone(), 0o555).await?;
    let process = Process {
        entrypoint: vec![format!("/{}", binary.service), "nop".to_owned()],
        environment: &[],
        user: USER,
    };
    assemble(&binary.service, architecture, vec![(binary.service.as_str(), program)], &process, revision)
}

/// How a manifest speaks of a configuration.
pub fn config_descriptor(config: &[u8]) -> Value {
    json!({"mediaType": CONFIG_TYPE, "digest": layer::digest(config), "size": config.len()})
}

/// How a manifest speaks of a layer.
pub fn layer_descriptor(layer: &Layer) -> Value {
    json!({"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.data.len()})
}

/// What a container of an image runs.
pub(super) struct Process {
    pub entrypoint: Vec<String>,
    pub environment: &'static [&'static str],
    /// `UID:GID`; root if empty.
    pub user: &'static str,
}

/// The binary's architecture, and a layer with it at `path`.
pub(super) async fn program_layer(
    binary: &Binary,
    path: String,
    mode: u32,
) -> anyhow::Result<(&'static str, Layer)> {
    let Binary { service, file } = binary;
    let content = stripped(file).await?;
    let architecture = binary::architecture(&content)
        .with_context(|| format!("no image can be made of {}", file.display()))?;
    let name = service.clone();
    let program = tokio::task::spawn_blocking(move || {
        layer::cached(&name, &[File { path: &path, mode, content: &content }])
    })
    .await??;
    Ok((architecture, program))
}

/// The binary without debug information, which makes up most of a development build; as it is where `strip` is not
/// installed.
async fn stripped(file: &Path) -> anyhow::Result<Vec<u8>> {
    let temporary = tempfile::NamedTempFile::new().context("make a temporary file")?;
    let strip =
        Program::new("strip").args(["--strip-debug", "-o"]).arg(temporary.path()).arg(file).run().await;
    let smaller = strip.is_ok_and(|finished| finished.status.success());
    let file = if smaller { temporary.path() } else { file };
    tokio::fs::read(file).await.with_context(|| format!("read {}", file.display()))
}

pub(super) fn assemble(
    service: &str,
    architecture: &'static str,
    layers: Vec<(&str, Layer)>,
    process: &Process,
    revision: &Revision,
) -> anyhow::Result<Image> {
    let created = revision.committed_at.as_deref().unwrap_or("1970-01-01T00:00:00Z");
    let labels: BTreeMap<String, String> = [
        ("title", Some(service.to_owned())),
        ("version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("revision", revision.label()),
        ("source", revision.source.clone()),
        ("licenses", Some(env!("CARGO_PKG_LICENSE").to_owned())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
    .collect();
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": process.user,
            "Entrypoint": process.entrypoint,
            "Env": process.environment,
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|(_, layer)| &layer.diff_id).collect::<Vec<_>>(),
        },
        "history": layers
            .iter()
            .map(|(what, _)| json!({"created": created, "created_by": what}))
            .collect::<Vec<_>>(),
    }))?;
    let layers: Vec<Layer> = layers.into_iter().map(|(_, layer)| layer).collect();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_descriptor(&config),
        "layers": layers.iter().map(layer_descriptor).collect::<Vec<_>>(),
    }))?;
    let content = layers.last().context("an image has layers")?.digest.clone();
    Ok(Image { architecture, digest: layer::digest(&manifest), content, layers, config, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_layer(content: &str) -> Layer {
        let digest = layer::digest(content.as_bytes());
        Layer { diff_id: format!("diff-of-{digest}"), digest, data: content.as_bytes().into() }
    }

    fn image(revision: &Revision) -> Image {
        let process =
            Process { entrypoint: vec!["/usr/bin/some-service".into()], environment: &[], user: USER };
        let layers = vec![("base", fake_layer("base")), ("some-service", fake_layer("program"))];
        assemble("some-service", "amd64", layers, &process, revision).unwrap()
    }

    /// An ELF header is all that is looked at.
    #[tokio::test]
    async fn entrypoint_is_alone_in_its_image_and_does_nothing_by_itself() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(64, 0);
        header[18] = 0x3e;
        std::fs::write(file.path(), &header).unwrap();
        let binary = Binary { service: "entrypoint".into(), file: file.path().into() };
        let image = pack_entrypoint(binary, &Revision::default()).await.unwrap();
        let config: Value = serde_json::from_slice(&image.config).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/entrypoint", "nop"]));
        assert_eq!(config["history"].as_array().unwrap().len(), 1);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&image.layers[0].data[..]));
        let files: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!(files, [("entrypoint".to_owned(), 0o555)]);
    }

    #[test]
    fn runs_the_binary_as_nobody_in_particular() {
        let config: Value = serde_json::from_slice(&image(&Revision::default()).config).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/some-service"]));
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn manifest_names_what_is_pushed() {
        let image = image(&Revision::default());
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        assert_eq!(manifest["config"]["digest"], layer::digest(&image.config));
        assert_eq!(manifest["config"]["size"], image.config.len());
        assert_eq!(manifest["layers"][1]["digest"], image.content);
        assert_eq!(image.digest, layer::digest(&image.manifest));
    }

    #[test]
    fn same_input_same_digest_and_other_commit_another() {
        let commit = |commit: &str| Revision { commit: Some(commit.to_owned()), ..Revision::default() };
        assert_eq!(image(&commit("a")).digest, image(&commit("a")).digest);
        assert_ne!(image(&commit("a")).digest, image(&commit("b")).digest);
    }
}
