//! The one image that a cluster has before there is a registry: `tools/pod`, as sandbox of every pod and for
//! checks. Written as an OCI archive, which containerd imports.
use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Path of the program in the image.
const PROGRAM: &str = "pod";

/// Reference of the image made of this program.
pub fn reference(program: &Path) -> anyhow::Result<String> {
    let name = program.file_name().and_then(|name| name.to_str()).context("the program has a name")?;
    // The file's name ends with a hash of its sources.
    let hash = name.rsplit('-').next().unwrap_or(name);
    Ok(format!("konflux.local/pod:{hash}"))
}

/// An OCI image layout as one tar.
pub fn archive(program: &Path, reference: &str) -> anyhow::Result<Vec<u8>> {
    let content = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let layer = tar(&[(PROGRAM, &content, 0o755)])?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": [format!("/{PROGRAM}")], "Cmd": ["pause"], "User": "65532:65532" },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    }))?;
    let descriptor = |kind: &str, blob: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest(blob),
            "size": blob.len(),
        })
    };
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar", &layer)],
    }))?;
    let mut entry = descriptor("manifest.v1+json", &manifest);
    entry["annotations"] = json!({ "io.containerd.image.name": reference });
    let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": [entry] }))?;
    let blob = |content: &[u8]| format!("blobs/sha256/{}", digest(content).trim_start_matches("sha256:"));
    tar(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644),
        ("index.json", &index, 0o644),
        (&blob(&manifest), &manifest, 0o644),
        (&blob(&config), &config, 0o644),
        (&blob(&layer), &layer, 0o644),
    ])
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(content)))
}

/// Files (name, content, mode) as a tar that is the same each time.
fn tar(files: &[(&str, &[u8], u32)]) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        tar.append_data(&mut header, name, *content).with_context(|| format!("archive {name}"))?;
    }
    Ok(tar.into_inner()?)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::*;

    #[test]
    fn archive_is_consistent() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("pod-abc123");
        fs::write(&program, "program").unwrap();
        let reference = reference(&program).unwrap();
        assert_eq!(reference, "konflux.local/pod:abc123");

        let bytes = archive(&program, &reference).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        let blob = |descriptor: &serde_json::Value| -> Vec<u8> {
            let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
            let content = files[&format!("blobs/{digest}")].clone();
            assert_eq!(descriptor["size"], content.len());
            content
        };
        let json = |content: &[u8]| -> serde_json::Value { serde_json::from_slice(content).unwrap() };
        let index = json(&files["index.json"]);
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], *reference);
        let manifest = json(&blob(&index["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&blob(&manifest["layers"][0])));
    }
}
