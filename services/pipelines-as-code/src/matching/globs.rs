//! Globs of branches and files: `*` and `?` stand for a `/` too, and there are `[a-z]`, `[!a]` and `{a,b}`.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Longest glob, in bytes: what is in it nests, and is compiled.
const MAX_GLOB: usize = 1024;

/// A text that is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidGlob {
    #[error("the glob {glob:?} cannot be read: {reason}")]
    Syntax { glob: String, reason: String },
    #[error("a glob has {0} bytes, and may have {MAX_GLOB}")]
    Long(usize),
    #[error("the globs are too large: {0}")]
    Large(String),
}

/// Any of several.
#[derive(Clone, Debug)]
pub(super) struct Globs(GlobSet);

impl Globs {
    pub(super) fn new<'g>(globs: impl IntoIterator<Item = &'g str>) -> Result<Self, InvalidGlob> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            if glob.len() > MAX_GLOB {
                return Err(InvalidGlob::Long(glob.len()));
            }
            let compiled = GlobBuilder::new(glob)
                .literal_separator(false)
                .backslash_escape(true)
                .empty_alternates(true)
                .build()
                .map_err(|error| InvalidGlob::Syntax {
                    glob: glob.to_owned(),
                    reason: error.kind().to_string(),
                })?;
            set.add(compiled);
        }
        set.build().map(Self).map_err(|error| InvalidGlob::Large(error.kind().to_string()))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
