//! One repository.

use super::attachment::{Seen, digest};
use super::metrics::Metrics;
use super::patience::patiently;
use crate::registry::{Error, Quay};

/// Tags of one repository that are looked at: two million. More are a loop of the registry's.
const PAGES: u32 = 20_000;

/// Looks for orphans in one repository at a time.
pub(super) struct Pruner {
    pub(super) quay: Quay,
    pub(super) dry_run: bool,
    pub(super) metrics: Metrics,
}

impl Pruner {
    pub(super) async fn prune(&self, repository: &str) -> Result<(), Error> {
        let seen = self.look(repository).await?;
        self.metrics.tags.inc_by(seen.tags());
        for orphan in seen.orphans() {
            let subject = orphan.subject_digest();
            // An image whose tag moved on can still be named by its digest.
            if !patiently(async || self.quay.has_manifest(repository, &subject).await).await? {
                self.delete(repository, &orphan.tag()).await?;
            }
        }
        for image in seen.named_sources() {
            let found = patiently(async || self.quay.tag(repository, image).await).await?;
            let is_needed =
                found.is_some_and(|tag| !digest(&tag.digest).is_some_and(|hash| seen.has_source(hash)));
            if !is_needed {
                self.delete(repository, &format!("{image}.src")).await?;
            }
        }
        self.metrics.repositories.inc();
        Ok(())
    }

    async fn look(&self, repository: &str) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for page in 1..=PAGES {
            let found = patiently(async || self.quay.tags(repository, page).await).await?;
            for tag in &found.tags {
                seen.add(&tag.name, &tag.digest);
            }
            if !found.has_more {
                return Ok(seen);
            }
        }
        Err(Error::refused(&format!("list tags of repository {repository}"), "the list does not end"))
    }

    async fn delete(&self, repository: &str, tag: &str) -> Result<(), Error> {
        if self.dry_run {
            tracing::info!(repository, tag, "Would delete tag");
            self.metrics.deleted.inc();
            return Ok(());
        }
        if patiently(async || self.quay.delete_tag(repository, tag).await).await? {
            tracing::info!(audit = true, repository, tag, "Deleted tag");
            self.metrics.deleted.inc();
        }
        Ok(())
    }
}
