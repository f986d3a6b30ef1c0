//! Whom a server that refuses to be root runs as.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::unistd::{Gid, Uid, User, chown, geteuid};

/// Ourselves, unless we are root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(Option<(Uid, Gid)>);

impl Account {
    /// Root takes the account of Debian's package, else that of nobody.
    pub(super) fn for_servers() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user =
            user.context("PostgreSQL refuses to be root, and there is neither a user postgres nor nobody")?;
        Ok(Self(Some((user.uid, user.gid))))
    }

    /// What starts `program` as this account.
    pub(super) fn command(self, program: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Self(Some((user, group))) = self {
            words.extend(["setpriv".into(), "--reuid".into(), user.to_string().into()]);
            words.extend(["--regid".into(), group.to_string().into(), "--clear-groups".into(), "--".into()]);
        }
        words.push(program.into());
        words
    }

    /// Gives a file or a folder to this account, with this mode.
    pub(super) fn own(self, path: &Path, mode: u32) -> anyhow::Result<()> {
        let give = || {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            if let Self(Some((user, group))) = self {
                chown(path, Some(user), Some(group))?;
            }
            std::io::Result::Ok(())
        };
        give().with_context(|| format!("give {} to the account of PostgreSQL", path.display()))
    }

    /// Lets this account reach what is its own in a folder that it may not list.
    pub(super) fn let_through(self, folder: &Path) -> anyhow::Result<()> {
        if self.0.is_none() {
            return Ok(());
        }
        fs::set_permissions(folder, Permissions::from_mode(0o711))
            .with_context(|| format!("open {} to the account of PostgreSQL", folder.display()))
    }
}
