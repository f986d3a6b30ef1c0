//! Asks registries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::outbound::{self, Credential, Response, Streaming};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, Method, header};
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use url::form_urlencoded::Serializer;

use crate::call::{Action, Call};
use crate::error::Error;
use crate::image::{self, Document, Image, Platform, Program};
use crate::keychain::Keychain;
use crate::reference::{Digest, Reference};

/// The specification has registries take manifests of this size, and clients no larger ones.
pub(crate) const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;
const TAGS_LIMIT: u64 = 4 * 1024 * 1024;
/// Asked for. Some registries send all that there are.
const TAGS_OF_A_PAGE: u32 = 500;
/// How long a blob of any size may take.
pub(crate) const LARGE: Duration = Duration::from_mins(30);

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Images of an index that are looked at together: what a host is given at once.
const TOGETHER: usize = 4;
/// Tokens that are remembered.
const MAX_TOKENS: usize = 1024;
/// Asks registries. Cheap to clone; clones share tokens.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) outbound: outbound::Client,
    pub(crate) tokens: Arc<Mutex<HashMap<TokenKey, Token>>>,
}

/// A token is good for one repository, what may be done to it, and whoever it was given to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    pub(crate) host: String,
    pub(crate) repository: String,
    pub(crate) action: Action,
    pub(crate) reads: Option<String>,
    pub(crate) login: Option<[u8; 32]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The whole header, as the registry wants it.
    pub(crate) credential: Credential,
    pub(crate) until: Instant,
}

/// A manifest as the registry holds it, its digest checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it is, by its digest.
    pub reference: Reference,
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Some of a repository's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    pub names: Vec<String>,
    /// What to ask the next page with, if there is one.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct TagList {
    /// `null` where all were deleted.
    tags: Option<Vec<String>>,
}

impl Client {
    pub fn new(outbound: outbound::Client) -> Self {
        Self { outbound, tokens: Arc::default() }
    }

    /// The manifest that a tag or digest names, as it is at this moment.
    pub async fn manifest(&self, reference: &Reference, keychain: &Keychain) -> Result<Manifest, Error> {
        self.manifest_for(Action::Read, reference, keychain).await
    }

    /// The manifest that a repository we write to has under a tag or digest; `None` if there is none.
    pub async fn existing_manifest(
        &self,
        reference: &Reference,
        keychain: &Keychain,
    ) -> Result<Option<Manifest>, Error> {
        // By the right to write: who may only write to a repository that is not there yet gets no answer by that to read.
        match self.manifest_for(Action::Write, reference, keychain).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn manifest_for(
        &self,
        action: Action,
        reference: &Reference,
        keychain: &Keychain,
    ) -> Result<Manifest, Error> {
        let call = Call::new(reference, action, Method::GET, &format!("manifests/{}", reference.version()))?
            .header(header::ACCEPT, HeaderValue::from_static(MANIFESTS))
            .limit(MANIFEST_LIMIT);
        let answer: Response = self.call(&call, keychain).await?;
        let bytes = answer.body().to_vec();
        let digest = Digest::of(&bytes);
        if reference.digest().is_some_and(|asked| *asked != digest) {
            return Err(Error::invalid(reference, format!("the registry sent another manifest, {digest}")));
        }
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Manifest {
            reference: reference.at(digest.clone()),
            digest,
            media_type: media_type.unwrap_or_default().to_owned(),
            bytes,
        })
    }

    /// A blob of the reference's repository, of at most `limit` bytes.
    pub async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        limit: u64,
        keychain: &Keychain,
    ) -> Result<Vec<u8>, Error> {
        let call = Call::get(reference, &format!("blobs/{digest}"))?.limit(limit);
        let answer: Response = self.call(&call, keychain).await?;
        let bytes = answer.body().to_vec();
        if Digest::of(&bytes) != *digest {
            return Err(another_blob(reference, digest));
        }
        Ok(bytes)
    }

    /// Writes a blob of the reference's repository to `to`, piece by piece, and says how many bytes it was. What was written
    /// before an error is no good: only at the end is it known whether the registry sent what was asked for.
    pub async fn blob_to(
        &self,
        reference: &Reference,
        digest: &Digest,
        limit: u64,
        to: &mut (impl AsyncWrite + Unpin + Send),
        keychain: &Keychain,
    ) -> Result<u64, Error> {
        let call = Call::get(reference, &format!("blobs/{digest}"))?.limit(limit).timeout(LARGE);
        let mut answer: Streaming = self.call(&call, keychain).await?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(piece) =
            answer.chunk().await.map_err(|error| Error::of(&reference.to_string(), error))?
        {
            hash.update(&piece);
            size += piece.len() as u64;
            to.write_all(&piece).await.map_err(|source| Error::local(digest, source))?;
        }
        to.flush().await.map_err(|source| Error::local(digest, source))?;
        if Digest::from_hash(hash) == *digest { Ok(size) } else { Err(another_blob(reference, digest)) }
    }

    /// Names of a repository's tags, a page of them. `after` is [`Tags::next`] of the page before.
    pub async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        keychain: &Keychain,
    ) -> Result<Tags, Error> {
        let mut query = Serializer::new(String::new());
        query.append_pair("n", &TAGS_OF_A_PAGE.to_string());
        if let Some(after) = after {
            query.append_pair("last", after);
        }
        let call = Call::get(repository, &format!("tags/list?{}", query.finish()))?.limit(TAGS_LIMIT);
        let answer: Response = self.call(&call, keychain).await?;
        let list: TagList =
            answer.json().map_err(|error| Error::of(&format!("{}: tags", repository.name()), error))?;
        let link = answer.headers().get(header::LINK).and_then(|value| value.to_str().ok());
        Ok(Tags { next: link.and_then(next_page), names: list.tags.unwrap_or_default() })
    }

    /// What an image runs by itself, on the platforms that are wanted.
    pub async fn image(
        &self,
        manifest: &Manifest,
        is_wanted: impl Fn(&Platform) -> bool,
        keychain: &Keychain,
    ) -> Result<Image, Error> {
        let platforms = match manifest.document()? {
            Document::Image(image) => {
                let found = self.program(manifest, &image.config.digest, keychain).await?;
                [found].into()
            }
            Document::Index(manifests) => {
                let looked_up = image::images(manifests, is_wanted).map(async |(platform, digest)| {
                    let child = self.manifest(&manifest.reference.at(digest), keychain).await?;
                    let Document::Image(image) = child.document()? else {
                        return Err(Error::invalid(
                            &child.reference,
                            "an index within an index is not supported",
                        ));
                    };
                    let (_, program) = self.program(&child, &image.config.digest, keychain).await?;
                    Ok((platform, program))
                });
                futures::stream::iter(looked_up).buffer_unordered(TOGETHER).try_collect().await?
            }
        };
        Ok(Image { platforms })
    }

    async fn program(
        &self,
        manifest: &Manifest,
        config: &Digest,
        keychain: &Keychain,
    ) -> Result<(Platform, Program), Error> {
        let config = self.blob(&manifest.reference, config, CONFIG_LIMIT, keychain).await?;
        image::program(&config).map_err(|reason| Error::invalid(&manifest.reference, reason))
    }

    pub(crate) fn remember(&self, key: TokenKey, token: Token) {
        let mut tokens = self.tokens.lock();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, token| now < token.until);
        }
        if tokens.len() < MAX_TOKENS {
            tokens.insert(key, token);
        }
    }
}

pub(crate) fn another_blob(reference: &Reference, digest: &Digest) -> Error {
    Error::invalid(reference, format!("the registry sent something else for blob {digest}"))
}

/// The last tag of this page, of `Link: </v2/…/tags/list?last=TAG&n=…>; rel="next"` (RFC 5988).
fn next_page(link: &str) -> Option<String> {
    let (address, parameters) = link.strip_prefix('<')?.split_once('>')?;
    if !parameters.contains("next") {
        return None;
    }
    let (_, query) = address.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "last").map(|(_, tag)| tag.into_owned())
}
