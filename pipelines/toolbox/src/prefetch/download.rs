//! Downloads, each checked against the checksum that asked for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use data_encoding::{BASE64, HEXLOWER};
use fleet::outbound::{Request, Url};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256, Sha512};
use tokio::io::AsyncWriteExt as _;

use crate::context::{Context, say};

/// Of one file.
const LIMIT: u64 = 8 * 1024 * 1024 * 1024;
/// Of what an index says of a package.
const INDEX_LIMIT: u64 = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_mins(20);
/// Files that are fetched at once: a server is given few calls of one client.
const TOGETHER: usize = 3;

/// What a file has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    Sha256(Vec<u8>),
    Sha512(Vec<u8>),
}

impl Checksum {
    /// `sha256:<hex>` or `sha512:<hex>`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let (algorithm, hex) = text.split_once(':').with_context(|| format!("{text:?} is no checksum"))?;
        let bytes = HEXLOWER
            .decode(hex.to_ascii_lowercase().as_bytes())
            .map_err(|_| anyhow!("{text:?} is not hexadecimal"))?;
        Self::new(algorithm, bytes)
    }

    /// One of those that npm knows: `sha512-<base64>`, several with spaces between them.
    pub(super) fn integrity(text: &str) -> anyhow::Result<Self> {
        let known = text.split_whitespace().filter_map(|one| {
            let (algorithm, base64) = one.split_once('-')?;
            Self::new(algorithm, BASE64.decode(base64.as_bytes()).ok()?).ok()
        });
        known.max_by_key(|checksum| matches!(checksum, Self::Sha512(_))).with_context(|| {
            format!("{text:?} has neither a SHA-256 nor a SHA-512: anybody could make another file with that checksum")
        })
    }

    fn new(algorithm: &str, bytes: Vec<u8>) -> anyhow::Result<Self> {
        match (algorithm, bytes.len()) {
            ("sha256", 32) => Ok(Self::Sha256(bytes)),
            ("sha512", 64) => Ok(Self::Sha512(bytes)),
            _ => bail!("{algorithm} is no checksum that is taken here; it has to be sha256 or sha512"),
        }
    }
}

/// A file to be fetched.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) url: Url,
    pub(super) checksum: Checksum,
    /// Name within a folder.
    pub(super) name: String,
}

/// What fetches.
pub(super) struct Downloads<'a> {
    context: &'a Context,
    names_files: bool,
}

impl<'a> Downloads<'a> {
    pub(super) fn new(context: &'a Context, names_files: bool) -> Self {
        Self { context, names_files }
    }

    /// Fetches files into a folder, a few at once.
    pub(super) async fn all(&self, wanted: Vec<Wanted>, folder: &Path) -> anyhow::Result<()> {
        let fetched = wanted.into_iter().map(async |wanted| {
            let to = folder.join(crate::archive::inner(Path::new(&wanted.name), 16)?);
            self.one(&wanted, &to)
                .await
                .with_context(|| format!("fetch {}", fleet::redact(wanted.url.as_str())))
        });
        futures::stream::iter(fetched).buffer_unordered(TOGETHER).try_collect().await
    }

    async fn one(&self, wanted: &Wanted, to: &Path) -> anyhow::Result<()> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let (mut sha256, mut sha512) = (Sha256::new(), Sha512::new());
        let is_sha256 = matches!(wanted.checksum, Checksum::Sha256(_));
        let request = Request::get(wanted.url.clone()).limit(LIMIT).timeout(PATIENCE);
        let mut answer = self.context.outbound.open(request).await?;
        ensure!(answer.status().is_success(), "the server answers {}", answer.status());
        let mut file = tokio::fs::File::create(to).await?;
        while let Some(piece) = answer.chunk().await? {
            if is_sha256 {
                sha256.update(&piece);
            } else {
                sha512.update(&piece);
            }
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        let (expected, found) = match &wanted.checksum {
            Checksum::Sha256(expected) => (expected, sha256.finalize().to_vec()),
            Checksum::Sha512(expected) => (expected, sha512.finalize().to_vec()),
        };
        if *expected != found {
            fs::remove_file(to)?;
            bail!(
                "its checksum is {}, and the lockfile says {}",
                HEXLOWER.encode(&found),
                HEXLOWER.encode(expected)
            );
        }
        if self.names_files {
            say(&format!("Fetched {}", wanted.name));
        }
        Ok(())
    }

    /// What an index says. `None` if it knows nothing.
    pub(super) async fn ask(&self, url: Url, accept: &'static str) -> anyhow::Result<Option<Vec<u8>>> {
        let shown = fleet::redact(url.as_str());
        let request =
            Request::get(url).limit(INDEX_LIMIT).header(header::ACCEPT, HeaderValue::from_static(accept));
        let answer = self.context.outbound.fetch(request).await?;
        if matches!(answer.status().as_u16(), 404 | 410) {
            return Ok(None);
        }
        Ok(Some(answer.success().with_context(|| format!("ask {shown}"))?.body().to_vec()))
    }
}

/// The address of an index that has to be known.
pub(super) fn index(url: &str, what: &str, how: &str) -> anyhow::Result<Url> {
    ensure!(!url.is_empty(), "no {what} is configured: {how}");
    let url = if url.ends_with('/') { url.to_owned() } else { format!("{url}/") };
    Url::parse(&url).with_context(|| format!("{what} {url:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_strong_checksums_only() {
        let sha256 = Checksum::Sha256(Sha256::digest(b"").to_vec());
        let hex = HEXLOWER.encode(&Sha256::digest(b""));
        assert_eq!(Checksum::parse(&format!("sha256:{hex}")).unwrap(), sha256);
        for bad in ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "x", "sha256:zz"] {
            assert!(Checksum::parse(bad).is_err(), "{bad}");
        }
        let sha512 = Sha512::digest(b"").to_vec();
        let both = format!("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= sha512-{}", BASE64.encode(&sha512));
        assert_eq!(Checksum::integrity(&both).unwrap(), Checksum::Sha512(sha512));
        let error = Checksum::integrity("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=").unwrap_err().to_string();
        assert!(error.contains("neither a SHA-256 nor a SHA-512"), "{error}");
    }
}
