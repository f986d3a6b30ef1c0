//! What is in a repository, by the registry's own API.

use std::path::PathBuf;
use std::sync::Arc;

use fleet::outbound::{self, Credential, Request, Response, Url};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::super::Error;
use crate::tokens::signer::{Access, Signer};

/// Tags of one repository: a hundred thousand of forty characters.
const TAGS_LIMIT: u64 = 8 * 1024 * 1024;
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";
const DIGEST: &str = "docker-content-digest";

/// Deletes images, by a token that we sign ourselves.
#[derive(Clone)]
pub(crate) struct Manifests {
    host: String,
    outbound: outbound::Client,
    /// Where the key of tokens is mounted.
    key: PathBuf,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// A manifest that refers to others, or one that does not.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Child {
    digest: String,
}

impl Manifests {
    pub(crate) fn new(host: &str, outbound: outbound::Client, key: PathBuf) -> Self {
        Self { host: host.to_owned(), outbound, key }
    }

    /// Deletes all images that have a tag, and those that an index of them names. The registry's API shows no others; they lie
    /// where nobody has a right to them until its garbage collection.
    pub(crate) async fn delete_all(&self, step: &str, repository: &str) -> Result<(), Error> {
        let signer =
            Signer::load(&self.key, &self.host).await.map_err(|error| Error::transient(step, &error))?;
        let visit = Visit { manifests: self, step, repository, signer: Arc::new(signer) };
        for tag in visit.tags().await? {
            visit.delete_tagged(&tag).await?;
        }
        Ok(())
    }
}

/// One repository that is being emptied.
struct Visit<'a> {
    manifests: &'a Manifests,
    step: &'a str,
    repository: &'a str,
    signer: Arc<Signer>,
}

impl Visit<'_> {
    async fn tags(&self) -> Result<Vec<String>, Error> {
        let answer = self.call(Method::GET, "tags/list").await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let tags: Tags = self.success(answer)?.json().map_err(|error| Error::transient(self.step, &error))?;
        Ok(tags.tags.unwrap_or_default())
    }

    async fn delete_tagged(&self, tag: &str) -> Result<(), Error> {
        let answer = self.call(Method::GET, &format!("manifests/{tag}")).await?;
        // Another tag of the same image took it along.
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let answer = self.success(answer)?;
        let digest = answer.headers().get(DIGEST).and_then(|value| value.to_str().ok());
        let Some(digest) = digest.map(str::to_owned) else {
            return Err(Error::transient(self.step, "the registry does not tell the digest of a manifest"));
        };
        let children = answer.json::<Index>().map(|index| index.manifests).unwrap_or_default();
        self.delete(&digest).await?;
        for child in children {
            self.delete(&child.digest).await?;
        }
        Ok(())
    }

    async fn delete(&self, digest: &str) -> Result<(), Error> {
        let answer = self.call(Method::DELETE, &format!("manifests/{digest}")).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => {
                tracing::warn!(
                    repository = self.repository,
                    "The registry deletes nothing: images stay, though nobody has a right to them (storage.delete.enabled)"
                );
                Ok(())
            }
            _ => self.success(answer).map(drop),
        }
    }

    async fn call(&self, method: Method, path: &str) -> Result<Response, Error> {
        let failed = |error: &dyn std::error::Error| Error::transient(self.step, &error);
        let url = format!("https://{}/v2/{}/{path}", self.manifests.host, self.repository);
        let url = Url::parse(&url).map_err(|error| failed(&error))?;
        let access = Access::repository(self.repository, ["pull", "delete"]);
        let token = self.signer.sign("image-controller", &[access]).map_err(|error| failed(&error))?;
        let credential = Credential::bearer(&url, &token.text).map_err(|error| failed(&error))?;
        let request = Request::new(method, url)
            .header(header::ACCEPT, HeaderValue::from_static(MANIFESTS))
            .limit(TAGS_LIMIT)
            .credential(&credential);
        self.manifests.outbound.fetch(request).await.map_err(|error| failed(&error))
    }

    fn success(&self, answer: Response) -> Result<Response, Error> {
        answer.success().map_err(|error| Error::transient(self.step, &error))
    }
}
