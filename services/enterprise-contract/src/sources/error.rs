//! Why there are no rules or no data.

/// Cheap to clone: everybody who asks for the same URL gets the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It leads nowhere, or where it must not.
    #[error("source {url:?} cannot be used: {why}")]
    Invalid { url: String, why: String },
    #[error("source {url:?} cannot be fetched: {why}")]
    Unreachable {
        url: String,
        why: String,
        /// Whether it may be otherwise a little later.
        is_transient: bool,
    },
    #[error("source {url:?} has no Rego{hint}")]
    NoRego { url: String, hint: String },
    #[error("source {url:?} has no data: no file whose name ends in .json, .yaml or .yml")]
    NoData { url: String },
    /// A file in it.
    #[error("source {url:?}: {path}: {why}")]
    Content { url: String, path: String, why: String },
    /// Two files that say different things, or say one thing twice.
    #[error(
        "merge error: data key {key:?} stands in {first} and again in {second}; a key may have one value only"
    )]
    Conflict { key: String, first: String, second: String },
}

impl Error {
    pub(super) fn invalid(url: &str, why: impl Into<String>) -> Self {
        Self::Invalid { url: url.to_owned(), why: why.into() }
    }

    pub(super) fn unreachable(url: &str, why: impl Into<String>, is_transient: bool) -> Self {
        Self::Unreachable { url: url.to_owned(), why: why.into(), is_transient }
    }

    pub(super) fn content(url: &str, path: &str, why: impl Into<String>) -> Self {
        Self::Content { url: url.to_owned(), path: path.to_owned(), why: why.into() }
    }

    /// The URL that it is about, if it is about one alone.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Invalid { url, .. }
            | Self::Unreachable { url, .. }
            | Self::NoRego { url, .. }
            | Self::NoData { url }
            | Self::Content { url, .. } => Some(url),
            Self::Conflict { .. } => None,
        }
    }

    /// Whether it is worth to be tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { is_transient: true, .. })
    }
}
