//! Where things lie: the checkout, the cache that outlives it, and the state of clusters.
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Root of the checkout that this xtask was built from.
pub fn repository() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().with_context(|| {
        format!("checkout {} is gone; build xtask again from where it is now", root.display())
    })
}

/// What can be made again, shared by all checkouts of this user.
pub fn cache() -> anyhow::Result<PathBuf> {
    Ok(testkit::tools::cache_dir()?)
}

/// Default folder of the cluster `name`'s state.
pub fn cluster_state(name: &str) -> anyhow::Result<PathBuf> {
    Ok(cache()?.join("clusters").join(name))
}
