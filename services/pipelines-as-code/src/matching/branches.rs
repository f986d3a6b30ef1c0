//! `on-target-branch` (spec section 4.4, point 5).

use super::globs::{Globs, InvalidGlob};

const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// Whether a branch or tag is one of those that the globs stand for. A bare name means a branch, on either side.
pub(super) fn is_target<'g>(
    globs: impl IntoIterator<Item = &'g str>,
    reference: &str,
) -> Result<bool, InvalidGlob> {
    let globs: Vec<String> = globs.into_iter().map(full).collect();
    Ok(Globs::new(globs.iter().map(String::as_str))?.is_match(&full(reference)))
}

fn full(name: &str) -> String {
    if name.starts_with(HEADS) || name.starts_with(TAGS) { name.to_owned() } else { format!("{HEADS}{name}") }
}
