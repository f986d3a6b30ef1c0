//! Copies images from one repository to another.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use registry::{Client, Copied, Descriptor, Digest, Keychain, Manifest, Reference};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::attachments;
use super::outcome::Pushed;
use super::plan::Push;
use super::tree::{Node, Tree};

/// Calls that are under way at once: no more than the client gives one host, so that none has to wait for its turn there.
const CALLS: u32 = step::CALLS_PER_HOST as u32;
/// Places that the copy of a blob takes: it is read and written at once, maybe at one host.
const CALLS_OF_A_BLOB: u32 = 2;
/// Blobs that are copied at once. Each holds about 16 MiB.
const BLOBS: usize = 4;
/// Manifests or blobs of one image that are looked at together.
const TOGETHER: usize = 4;

/// Copies with one set of logins, and counts what it does.
pub(super) struct Copier {
    client: Client,
    keychain: Keychain,
    calls: Semaphore,
    blobs: Semaphore,
    sent: AtomicU64,
    mounted: AtomicU64,
    bytes: AtomicU64,
    manifests: AtomicU64,
}

impl Copier {
    pub(super) fn new(client: Client, keychain: Keychain) -> Self {
        Self {
            client,
            keychain,
            calls: Semaphore::new(CALLS as usize),
            blobs: Semaphore::new(BLOBS),
            sent: AtomicU64::new(0),
            mounted: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            manifests: AtomicU64::new(0),
        }
    }

    /// What was written so far, for people.
    pub(super) fn summary(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} manifests written, {} blobs sent ({} bytes), {} mounted",
            of(&self.manifests),
            of(&self.sent),
            of(&self.bytes),
            of(&self.mounted)
        )
    }

    /// Copies one image, what belongs to it, and its sources, and gives it its tags.
    pub(super) async fn push(&self, push: &Push) -> anyhow::Result<Pushed> {
        let (from, to) = (&push.image, &push.repository);
        let what = || format!("copy {from} to {}", to.name());
        let tree = Tree::read(from, self).await.with_context(what)?;
        self.put(&tree, from, to).await.with_context(what)?;
        for node in &tree.0 {
            attachments::copy(self, from, &node.manifest.digest, to).await.with_context(what)?;
        }
        if !push.source_tags.is_empty() {
            self.push_sources(push).await.with_context(what)?;
        }
        let platforms = tree.platforms(self).await.with_context(what)?;
        let Some(top) = tree.0.last() else { anyhow::bail!("{from} has no manifest") };
        let mut urls = Vec::new();
        for tag in &push.tags {
            let tagged = to.tagged(tag)?;
            self.tag(&tagged, &top.manifest).await.with_context(|| format!("tag {tagged}"))?;
            urls.push(format!("{}:{tag}", push.public));
        }
        Ok(Pushed {
            name: push.component.clone(),
            shasum: top.manifest.digest.to_string(),
            arches: platforms.arches,
            oses: platforms.oses,
            urls,
        })
    }

    async fn push_sources(&self, push: &Push) -> anyhow::Result<()> {
        let mut found = None;
        for tag in &push.source_from {
            let place = push.image.tagged(tag)?;
            if let Some(manifest) = self.manifest_if_any(&place).await? {
                found = Some(manifest);
                break;
            }
        }
        let sources = found.with_context(|| {
            format!(
                "its sources are asked for, and there is no {} in {}",
                push.source_from.join(" or "),
                push.image.name()
            )
        })?;
        let tree = Tree::read(&sources.reference, self).await?;
        self.put(&tree, &sources.reference, &push.repository).await?;
        for tag in &push.source_tags {
            self.tag(&push.repository.tagged(tag)?, &sources).await?;
        }
        Ok(())
    }

    /// Puts all manifests with their blobs into a repository, by their digests.
    pub(super) async fn put(&self, tree: &Tree, from: &Reference, to: &Reference) -> anyhow::Result<()> {
        for node in &tree.0 {
            self.put_node(node, from, to).await?;
        }
        Ok(())
    }

    async fn put_node(&self, node: &Node, from: &Reference, to: &Reference) -> anyhow::Result<()> {
        let pinned = to.at(node.manifest.digest.clone());
        // Registries take no manifest before its blobs: where it is, they are.
        if self.there(&pinned).await?.is_some() {
            return Ok(());
        }
        self.put_blobs(&node.blobs, from, to).await?;
        self.put_manifest(&pinned, &node.manifest).await
    }

    pub(super) async fn put_blobs(
        &self,
        blobs: &[Descriptor],
        from: &Reference,
        to: &Reference,
    ) -> anyhow::Result<()> {
        let copied = blobs.iter().map(|blob| self.put_blob(blob, from, to));
        futures::stream::iter(copied).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn put_blob(&self, blob: &Descriptor, from: &Reference, to: &Reference) -> anyhow::Result<()> {
        let _place = turn(&self.blobs, 1).await?;
        let _calls = turn(&self.calls, CALLS_OF_A_BLOB).await?;
        match self.client.copy_blob(from, to, &blob.digest, blob.size, &self.keychain).await? {
            Copied::WasThere => {}
            Copied::Mounted => count(&self.mounted, 1),
            Copied::Sent => {
                count(&self.sent, 1);
                count(&self.bytes, blob.size);
            }
        }
        Ok(())
    }

    /// Puts a manifest where `to` says, unless it is there.
    async fn tag(&self, to: &Reference, manifest: &Manifest) -> anyhow::Result<()> {
        if self.there(to).await?.is_some_and(|there| there.digest == manifest.digest) {
            return Ok(());
        }
        self.put_manifest(to, manifest).await
    }

    pub(super) async fn put_manifest(&self, to: &Reference, manifest: &Manifest) -> anyhow::Result<()> {
        let _turn = turn(&self.calls, 1).await?;
        self.client.push_manifest(to, &manifest.media_type, manifest.bytes.clone(), &self.keychain).await?;
        count(&self.manifests, 1);
        Ok(())
    }

    pub(super) async fn put_referrer(&self, subject: &Reference, manifest: &Manifest) -> anyhow::Result<()> {
        let _turn = turn(&self.calls, 1).await?;
        self.client.push_referrer(subject, manifest, &self.keychain).await?;
        count(&self.manifests, 1);
        Ok(())
    }

    pub(super) async fn referrers(&self, subject: &Reference) -> anyhow::Result<Vec<Descriptor>> {
        let _turn = turn(&self.calls, 1).await?;
        Ok(self.client.referrers(subject, &self.keychain).await?)
    }

    pub(super) async fn manifest(&self, reference: &Reference) -> anyhow::Result<Manifest> {
        let _turn = turn(&self.calls, 1).await?;
        Ok(self.client.manifest(reference, &self.keychain).await?)
    }

    pub(super) async fn manifest_if_any(&self, reference: &Reference) -> anyhow::Result<Option<Manifest>> {
        let _turn = turn(&self.calls, 1).await?;
        match self.client.manifest(reference, &self.keychain).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(registry::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is where we write.
    pub(super) async fn there(&self, reference: &Reference) -> anyhow::Result<Option<Manifest>> {
        let _turn = turn(&self.calls, 1).await?;
        Ok(self.client.existing_manifest(reference, &self.keychain).await?)
    }

    pub(super) async fn blob(&self, at: &Reference, digest: &Digest, limit: u64) -> anyhow::Result<Vec<u8>> {
        let _turn = turn(&self.calls, 1).await?;
        Ok(self.client.blob(at, digest, limit, &self.keychain).await?)
    }
}

async fn turn(places: &Semaphore, count: u32) -> anyhow::Result<SemaphorePermit<'_>> {
    Ok(places.acquire_many(count).await?)
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
