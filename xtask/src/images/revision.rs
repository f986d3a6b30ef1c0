//! Which sources an image was made from.
use std::path::Path;

use crate::program::Program;

/// What Git says of the checkout. Without Git, or before the first commit, little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Full hash.
    pub commit: Option<String>,
    /// RFC 3339.
    pub committed_at: Option<String>,
    /// There are changes that the commit does not have.
    pub dirty: bool,
    /// Web address of the repository, without credentials.
    pub source: Option<String>,
}

/// Asks Git about the checkout at `root`.
pub async fn of(root: &Path) -> Revision {
    let git = async |arguments: &[&str]| {
        let finished = Program::new("git").directory(root).args(arguments).run().await.ok()?;
        finished.status.success().then(|| finished.stdout.trim().to_owned())
    };
    Revision {
        commit: git(&["rev-parse", "--verify", "--quiet", "HEAD"]).await,
        committed_at: git(&["show", "--no-patch", "--format=%cI", "HEAD"]).await,
        dirty: git(&["status", "--porcelain"]).await.is_none_or(|changes| !changes.is_empty()),
        source: git(&["config", "--get", "remote.origin.url"]).await.and_then(|url| public_address(&url)),
    }
}

impl Revision {
    /// The tag of an image of these sources whose content hashes to `content` (`sha256:…`): the commit alone names it
    /// only when nothing else went in.
    pub fn tag(&self, content: &str) -> String {
        let short: String = content.trim_start_matches("sha256:").chars().take(12).collect();
        match (&self.commit, self.dirty) {
            (Some(commit), false) => commit.clone(),
            (Some(commit), true) => format!("{commit}-dirty-{short}"),
            (None, _) => format!("uncommitted-{short}"),
        }
    }

    /// For the label `org.opencontainers.image.revision`.
    pub fn label(&self) -> Option<String> {
        self.commit.as_ref().map(|commit| if self.dirty { format!("{commit}-dirty") } else { commit.clone() })
    }
}

/// An address that may stand in a public image: https, without user or password.
fn public_address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit('@').next()?;
    Some(format!("https://{host}/{}", path.trim_end_matches(".git")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(commit: Option<&str>, dirty: bool) -> Revision {
        Revision { commit: commit.map(str::to_owned), dirty, ..Revision::default() }
    }

    #[test]
    fn only_a_clean_checkout_is_named_by_its_commit() {
        let content = "sha256:0123456789abcdef";
        assert_eq!(revision(Some("c0ffee"), false).tag(content), "c0ffee");
        assert_eq!(revision(Some("c0ffee"), true).tag(content), "c0ffee-dirty-0123456789ab");
        assert_eq!(revision(None, true).tag(content), "uncommitted-0123456789ab");
        assert_eq!(revision(Some("c0ffee"), true).label().as_deref(), Some("c0ffee-dirty"));
    }

    #[test]
    fn credentials_do_not_reach_the_label() {
        let public = |url| public_address(url);
        assert_eq!(public("https://u:p@forge.test/a/b.git").as_deref(), Some("https://forge.test/a/b"));
        assert_eq!(public("git@forge.test:a/b.git"), None);
        assert_eq!(public("/srv/git/b"), None);
    }
}
