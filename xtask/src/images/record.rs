//! `images.json`: which digest each service has in the registry. Written by `images`, read by `deploy`.
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{cluster, paths};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// `host[:port][/path]`, in front of `konflux/<service>`.
    pub registry: String,
    pub images: BTreeMap<String, Image>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `<registry>/konflux/<service>@sha256:…`.
    pub reference: String,
    /// Also under this tag, until it is moved.
    pub tag: String,
    /// `amd64`, `arm64`, or `index` for several.
    pub architecture: String,
}

/// Where `images` writes and `deploy` reads when no file is named.
pub fn default_file(cluster: &cluster::Choice) -> anyhow::Result<PathBuf> {
    let state = cluster.state_dir.clone().map_or_else(|| paths::cluster_state(&cluster.name), Ok)?;
    Ok(state.join("images.json"))
}

impl Images {
    /// Nothing when there is no such file: an overlay may name all its images itself.
    pub fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        let images = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: run `cargo xtask images` again", file.display()))?;
        Ok(Some(images))
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(file, serde_json::to_vec_pretty(self)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_written_and_absent_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/images.json");
        assert_eq!(Images::read(&file).unwrap(), None);
        let image =
            Image { reference: "r/konflux/a@sha256:0".into(), tag: "t".into(), architecture: "amd64".into() };
        let images = Images { registry: "r".into(), images: BTreeMap::from([("a".into(), image)]) };
        images.write(&file).unwrap();
        assert_eq!(Images::read(&file).unwrap(), Some(images));
    }

    #[test]
    fn damage_is_said_with_the_cure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{").unwrap();
        assert!(Images::read(file.path()).unwrap_err().to_string().contains("cargo xtask images"));
    }
}
