//! Passwords and tokens of the forge's users, kept in the cluster's state folder for their owner's eyes only.
use std::{fs, io::ErrorKind, net::IpAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use testkit::gitea::Access;

use crate::cluster::{Cluster, write_secret};

/// Longest name of a user that Gitea takes.
const LONGEST: usize = 40;

pub(super) struct Logins {
    cluster: Cluster,
    access: Access,
}

impl Logins {
    pub(super) fn new(cluster: Cluster, access: Access) -> Self {
        Self { cluster, access }
    }

    pub(super) fn administrator(&self) -> &str {
        &self.access.administrator
    }

    /// Where the forge listens.
    pub(super) fn address(&self) -> IpAddr {
        self.access.address.ip()
    }

    /// Nothing if none was made here.
    pub(super) fn password(&self, user: &str) -> anyhow::Result<Option<String>> {
        if user == self.access.administrator {
            return Ok(Some(self.access.password.clone()));
        }
        self.read(user)
    }

    pub(super) fn keep_password(&self, user: &str, password: &str) -> anyhow::Result<PathBuf> {
        self.write(user, password)
    }

    /// A token that was made here.
    pub(super) fn token(&self, user: &str, token: &str) -> anyhow::Result<Option<String>> {
        self.read(&format!("{user}.{token}"))
    }

    pub(super) fn keep_token(&self, user: &str, token: &str, value: &str) -> anyhow::Result<PathBuf> {
        self.write(&format!("{user}.{token}"), value)
    }

    fn read(&self, what: &str) -> anyhow::Result<Option<String>> {
        let path = self.cluster.forge_login(what);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    fn write(&self, what: &str, value: &str) -> anyhow::Result<PathBuf> {
        let path = self.cluster.forge_login(what);
        let folder = path.parent().context("the file has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        write_secret(&path, value)?;
        Ok(path)
    }
}

/// Names become names of files, so they are made of harmless characters only: those that Gitea takes, but for dots.
pub(super) fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    ensure!(
        name.len() <= LONGEST
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.ends_with(|last: char| last.is_ascii_alphanumeric())
            && name.chars().all(is_plain),
        "{what} {name:?}: use 1 to {LONGEST} letters and digits, with '-' and '_' between them"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("alice", true)]
    #[case::dashes("build-bot_2", true)]
    #[case::empty("", false)]
    #[case::path("../admin", false)]
    #[case::dot("alice.ci", false)]
    #[case::ends("alice-", false)]
    #[case::long("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)]
    fn names(#[case] name: &str, #[case] is_fine: bool) {
        assert_eq!(check_name("user", name).is_ok(), is_fine);
    }
}
