//! What was pushed, as `Release.status.artifacts` shows it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// `push-snapshot-results.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    pub images: Vec<Pushed>,
}

/// An image in all places that it was released to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Of the component.
    pub name: String,
    /// Digest of the manifest or index: `sha256:<hex>`.
    pub shasum: String,
    pub arches: BTreeSet<String>,
    pub oses: BTreeSet<String>,
    /// `repository:tag`.
    pub urls: Vec<String>,
}

impl Results {
    /// An image that went to several repositories is one.
    pub(super) fn add(&mut self, pushed: Pushed) {
        let same = |known: &&mut Pushed| known.name == pushed.name && known.shasum == pushed.shasum;
        match self.images.iter_mut().find(same) {
            Some(known) => {
                known.arches.extend(pushed.arches);
                known.oses.extend(pushed.oses);
                known.urls.extend(pushed.urls);
            }
            None => self.images.push(pushed),
        }
    }
}
