//! Files by their addresses: `artifacts.lock.yaml`.

use anyhow::{Context as _, bail};
use fleet::outbound::Url;
use serde::Deserialize;

use super::download::{Checksum, Wanted};
use super::{Component, Fetched, Workshop};

const LOCKFILE: &str = "artifacts.lock.yaml";
const MAX_LOCKFILE: u64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Lockfile {
    metadata: Metadata,
    artifacts: Vec<Artifact>,
}

#[derive(Deserialize)]
struct Metadata {
    version: String,
}

#[derive(Deserialize)]
struct Artifact {
    download_url: String,
    checksum: String,
    #[serde(default)]
    filename: Option<String>,
}

pub(super) async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    let name = workshop.package.options.lockfile.as_deref().unwrap_or(LOCKFILE);
    let text = workshop.read(name, MAX_LOCKFILE)?;
    let lockfile: Lockfile = serde_saphyr::from_str(&text).with_context(|| format!("read {name}"))?;
    if lockfile.metadata.version != "1.0" {
        bail!("{name} is of version {}; 1.0 is understood", lockfile.metadata.version);
    }
    let (mut wanted, mut components) = (Vec::new(), Vec::new());
    for artifact in lockfile.artifacts {
        let url = Url::parse(&artifact.download_url)
            .with_context(|| format!("{name}: {}", artifact.download_url))?;
        let checksum = Checksum::parse(&artifact.checksum).with_context(|| format!("{name}: {url}"))?;
        let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let file = artifact.filename.unwrap_or_else(|| last.to_owned());
        if file.is_empty() {
            bail!("{name}: {url} names no file; set filename");
        }
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("checksum", &artifact.checksum)
            .append_pair("download_url", url.as_str())
            .finish();
        let purl = format!("pkg:generic/{}?{query}", super::encoded(&file));
        components.push(Component { name: file.clone(), version: String::new(), purl });
        wanted.push(Wanted { url, checksum, name: file });
    }
    workshop.downloads.all(wanted, &workshop.deps).await?;
    Ok(Fetched { components, ..Fetched::default() })
}
