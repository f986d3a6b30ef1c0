//! Why a request of a user was not carried out.

use std::time::Duration;

use build_service_api::ErrorId;
use build_service_api::build_status::BuildError;

/// Why a request of a user was not carried out, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Only somebody can mend it: told in the status under its number, and the request is over.
    #[error("{}: {}: {detail}", id.number(), id.message())]
    Permanent {
        id: ErrorId,
        /// Host, repository, branch, file and answer that it is about, and what to do. Without secrets.
        detail: String,
    },
    /// May go away by itself: tried again.
    #[error("{detail}")]
    Transient {
        detail: String,
        /// How long to wait, where a forge said so. Absent means the kit's back-off.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    pub fn permanent(id: ErrorId, detail: impl Into<String>) -> Self {
        Self::Permanent { id, detail: detail.into() }
    }

    pub fn transient(detail: impl Into<String>) -> Self {
        Self::Transient { detail: detail.into(), retry_after: None }
    }

    /// What an answer of the API server to reading or writing `what` means. It is never the user's fault but where it says so.
    pub(crate) fn of_api(what: &str, error: &kube::Error) -> Self {
        Self::transient(format!("{what}: {error}"))
    }
}

/// What the kit's writer could not do may go away: what would not is found by those who know what it means.
impl From<fleet::WriteError> for Failure {
    fn from(error: fleet::WriteError) -> Self {
        Self::transient(fleet::controller::chain(&error))
    }
}

/// Bytes of a detail. All annotations of an object together may have 256 KiB.
const LONGEST: usize = 2000;

/// The beginning of `text`, of at most `length` bytes.
pub(crate) fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

/// As it stands in the status.
pub(crate) fn told(id: ErrorId, detail: &str) -> BuildError {
    let detail = Some(cut(&fleet::redact(detail), LONGEST).to_owned()).filter(|detail| !detail.is_empty());
    BuildError { detail, ..BuildError::from(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_with_number_words_and_detail() {
        let error = told(ErrorId::RepositoryDoesNotExist, "https://user:pass@git.example/acme/app");
        assert_eq!(error.id, Some(63));
        assert_eq!(error.message.as_deref(), Some("63: Git repository or its host does not exist"));
        let detail = error.detail.unwrap_or_default();
        assert!(detail.contains("git.example/acme/app") && !detail.contains("pass"), "{detail}");
        assert_eq!(told(ErrorId::Unknown, "").detail, None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "ä".repeat(LONGEST);
        assert_eq!(told(ErrorId::Unknown, &text).detail.map(|detail| detail.len()), Some(LONGEST));
        assert_eq!(cut(&format!("x{text}"), LONGEST).len(), LONGEST - 1);
        assert_eq!(cut("short", LONGEST), "short");
    }
}
