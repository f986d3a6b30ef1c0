//! Debian packages as an image layer: what the steps of pipelines run besides our own programs, and what samples build on.
//!
//! ```text
//! names ─▶ apt: closure, versions ─▶ packages (cached, verified by apt) ─▶ tree ─▶ layer (cached by versions)
//! ```
//! Nothing is installed: the files of each package are laid out as they are in it, and its maintainer's scripts do not run.
//! So no rights are needed, no clock and no machine shows, and the same versions give the same digest
//! (docs/decisions/0032). Which mirror and release they come from is said by the apt of this machine.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::layer::{self, Layer};
use crate::{paths, program::Program, ui};

mod tree;

use tree::Tree;

/// Changed whenever the same packages would be laid out differently.
const FORMAT: &str = "1";

/// No packages of others that this machine may know, though their version were higher.
const PREFERENCES: &str = "Package: *\nPin: release o=Debian\nPin-Priority: 990\n";

/// What a layer is made of.
pub struct Selection {
    /// Of the layer in the cache.
    pub name: &'static str,
    /// With all that they depend on.
    pub packages: &'static [&'static str],
    /// Packages among those that are left out: needed by their scripts only, or by what nobody runs here.
    pub but: &'static [&'static str],
    /// Paths that are left out, without leading slash; all that lies below them, too.
    pub without: &'static [&'static str],
}

/// What no image needs of any package. Licences stay.
const WITHOUT: &[&str] = &[
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/bug",
    "etc/cron.d",
    "etc/cron.daily",
    "etc/init.d",
    "usr/lib/systemd",
    // Programs with the rights of others, for machines with several people.
    "usr/bin/su",
    "usr/lib/openssh/ssh-keysign",
];

/// Of no use where nothing is installed, and nobody logs in.
const NEVER: &[&str] = &[
    "adduser",
    "ca-certificates",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "lsb-base",
    "netbase",
    "openssl",
    "passwd",
    "perl-base",
    "perl",
    "perl-modules-5.36",
    "libperl5.36",
    "libgdbm6",
    "libgdbm-compat4",
    "liberror-perl",
    "libfile-find-rule-perl",
    "libnumber-compare-perl",
    "libtext-glob-perl",
    "libpam-modules",
    "libpam-modules-bin",
    "readline-common",
    "sensible-utils",
    "sysvinit-utils",
    "ucf",
    "usrmerge",
];

/// A package in the version that apt would install.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

/// The layer with these packages.
pub async fn layer(selection: &'static Selection) -> anyhow::Result<Layer> {
    let apt = Apt::new()?;
    let packages = apt.closure(selection).await.with_context(|| {
        format!(
            "find Debian's packages for image {}: images are made of them on a machine with Debian's apt",
            selection.name
        )
    })?;
    let key = key(selection, &packages);
    // The program of an image may be called as the image is.
    let name = format!("debian-{}", selection.name);
    if let Some(layer) = layer::kept(&name, &key)? {
        return Ok(layer);
    }
    let step = ui::step(format!("Debian's packages for {}", selection.name));
    let folder = paths::cache()?.join("packages").join("debian");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let files = apt.files(&packages, &folder).await?;
    step.waiting("packing");
    let layer = tokio::task::spawn_blocking(move || {
        let mut tree = Tree::with_skeleton();
        for file in &files {
            tree.add_package(file, |path| is_left_out(selection, path))
                .with_context(|| format!("unpack {}", file.display()))?;
        }
        layer::keep_archive(&name, &key, &tree.archive()?)
    })
    .await??;
    step.done_with(&format!("{} packages", packages.len()));
    Ok(layer)
}

fn is_left_out(selection: &Selection, path: &str) -> bool {
    let is_document = path.strip_prefix("usr/share/doc/").is_some_and(|rest| rest.contains('/'));
    if is_document && !path.ends_with("/copyright") {
        return true;
    }
    WITHOUT
        .iter()
        .chain(selection.without)
        .any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Names the layer: the same packages in the same versions, laid out by the same rules.
fn key(selection: &Selection, packages: &[Package]) -> String {
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    for Package { name, version } in packages {
        hash.update(format!("\0{name}={version}"));
    }
    for path in selection.without.iter().chain(WITHOUT) {
        hash.update(format!("\0{path}"));
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}

/// This machine's apt, as if nothing were installed.
struct Apt {
    folder: tempfile::TempDir,
}

impl Apt {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("make a temporary folder")?;
        fs::write(folder.path().join("status"), "")?;
        fs::write(folder.path().join("preferences"), PREFERENCES)?;
        Ok(Self { folder })
    }

    fn get(&self) -> Program {
        let path = |name| self.folder.path().join(name).display().to_string();
        Program::new("apt-get").env("LC_ALL", "C").args([
            format!("-oDir::State::status={}", path("status")),
            format!("-oDir::Etc::preferences={}", path("preferences")),
            "-oDir::Etc::preferencesparts=/dev/null".to_owned(),
            "-oAPT::Install-Recommends=false".to_owned(),
            "-qq".to_owned(),
        ])
    }

    /// The packages of a selection with all that they need, by name.
    async fn closure(&self, selection: &Selection) -> anyhow::Result<Vec<Package>> {
        let ask = || self.get().args(["install", "--print-uris", "--yes"]).args(selection.packages).run();
        let mut answer = ask().await?;
        if !answer.status.success() {
            // Of a machine that never asked for packages the lists are empty.
            Program::new("apt-get").arg("update").run().await?.success()?;
            answer = ask().await?;
        }
        let text = answer.success()?;
        let packages: BTreeMap<_, _> = text.lines().filter_map(package).collect();
        let is_wanted = |name: &String| !NEVER.iter().chain(selection.but).any(|left_out| left_out == name);
        let packages = packages.into_iter().filter(|(name, _)| is_wanted(name));
        Ok(packages.map(|(name, version)| Package { name, version }).collect())
    }

    /// The packages' files, from the cache as far as they were downloaded before. Apt has checked who made them.
    async fn files(&self, packages: &[Package], folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let absent: Vec<_> = packages.iter().filter(|package| !package.file(folder).is_file()).collect();
        if !absent.is_empty() {
            let new = tempfile::tempdir_in(folder).context("make a folder for downloads")?;
            let names = || absent.iter().map(|Package { name, version }| format!("{name}={version}"));
            let download = || self.get().arg("download").args(names()).directory(new.path()).run();
            if !download().await?.status.success() {
                // The mirror keeps no version that its lists do not name any more.
                Program::new("apt-get").arg("update").run().await?.success()?;
                download().await?.success()?;
            }
            for entry in fs::read_dir(new.path())? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).and_then(names_in);
                if let Some((name, version)) = name {
                    fs::rename(&path, Package { name, version }.file(folder))?;
                }
            }
        }
        let files: Vec<_> = packages.iter().map(|package| package.file(folder)).collect();
        let absent = files.iter().find(|file| !file.is_file());
        match absent {
            Some(file) => anyhow::bail!("apt-get download has left no {}", file.display()),
            None => Ok(files),
        }
    }
}

impl Package {
    /// Where its file is kept.
    fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}_{}.deb", self.name, self.version.replace(':', "%3a")))
    }
}

/// Name and version in a line like `'http://…/x_1%3a2_amd64.deb' x_1%3a2_amd64.deb 4711 SHA256:…`.
fn package(line: &str) -> Option<(String, String)> {
    names_in(line.split(' ').nth(1)?)
}

/// Name and version in the name of a package's file.
fn names_in(file: &str) -> Option<(String, String)> {
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some((name.to_owned(), version.replace("%3a", ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELECTION: Selection =
        Selection { name: "x", packages: &["a"], but: &[], without: &["usr/lib/perl"] };

    fn of(version: &str) -> Package {
        Package { name: "a".into(), version: version.into() }
    }

    #[test]
    fn reads_what_apt_would_install() {
        let line = "'http://mirror.example/g/git_2.39.5-0%2bdeb12u2_amd64.deb' git_1%3a2.39.5-0+deb12u2_amd64.deb 7264 SHA256:00";
        assert_eq!(package(line), Some(("git".into(), "1:2.39.5-0+deb12u2".into())));
        assert_eq!(package("Reading package lists..."), None);
    }

    #[test]
    fn layer_is_named_by_versions_and_rules() {
        assert_eq!(key(&SELECTION, &[of("1")]), key(&SELECTION, &[of("1")]));
        assert_ne!(key(&SELECTION, &[of("1")]), key(&SELECTION, &[of("2")]));
        let other = Selection { without: &[], ..SELECTION };
        assert_ne!(key(&SELECTION, &[of("1")]), key(&other, &[of("1")]));
    }

    #[test]
    fn whole_folders_are_left_out_and_nothing_that_is_called_alike() {
        assert!(is_left_out(&SELECTION, "usr/lib/perl/5.36"));
        assert!(is_left_out(&SELECTION, "usr/share/man"));
        assert!(!is_left_out(&SELECTION, "usr/lib/perl5"));
        assert!(!is_left_out(&SELECTION, "usr/share/doc/git/copyright"));
        assert!(is_left_out(&SELECTION, "usr/share/doc/git/changelog.gz"));
    }
}
