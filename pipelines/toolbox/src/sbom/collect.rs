//! Takes files and knows which packages they speak of.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek as _};

use sbom::Package;
use tempfile::SpooledTempFile;

use super::ecosystem::debian::{self, OsRelease};
use super::ecosystem::{Unreadable, go, java, node, python, rust};
use super::kind::{Kind, Scope};
use super::origins::Origins;

/// Archives and programs up to this size are held in memory, others in a file: two are never held together.
const IN_MEMORY: usize = 32 << 20;
/// Of one tree or image.
const MAX_PACKAGES: usize = 500_000;
const MAX_UNREAD: usize = 1_000;

/// A file that says something of packages which could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Takes the files of one tree or image, in any order.
#[derive(Debug)]
pub struct Collector {
    scope: Scope,
    packages: Vec<Package>,
    unread: Vec<Unread>,
    os_release: Option<OsRelease>,
    /// Of dpkg's list: what they are called needs the release, which is in another file.
    installed: Vec<(String, debian::Installed)>,
    /// By folder: `go.sum` is asked where `go.mod` does not list all modules.
    go_mods: BTreeMap<String, go::Completeness>,
    go_sums: BTreeMap<String, Vec<Package>>,
    /// If they are looked for.
    pub(super) origins: Option<Origins>,
}

impl Collector {
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            packages: Vec::new(),
            unread: Vec::new(),
            os_release: None,
            installed: Vec::new(),
            go_mods: BTreeMap::new(),
            go_sums: BTreeMap::new(),
            origins: None,
        }
    }

    /// Looks for marks in class files that say where they come from, too.
    pub(super) fn with_origins(mut self) -> Self {
        self.origins = Some(Origins::default());
        self
    }

    /// Whether a file of this path can be of interest.
    pub(super) fn may_want(&self, path: &str) -> bool {
        Kind::of(path, self.scope, true).is_some()
    }

    /// Takes a file, of which only so much is read as is of use. Errors are those of reading; what is in it is noted if it cannot
    /// be understood.
    pub(super) fn file(
        &mut self,
        path: &str,
        is_executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let Some(kind) = Kind::of(path, self.scope, is_executable) else { return Ok(()) };
        if size > kind.limit() {
            // A program that large is a bundle of something else.
            if kind != Kind::Program {
                self.unread(path, format!("it has {size} bytes; up to {} are read", kind.limit()));
            }
            return Ok(());
        }
        let found = match kind {
            Kind::Jar | Kind::Program => {
                let Some(mut file) = spooled(kind, size, content)? else { return Ok(()) };
                match kind {
                    Kind::Jar => java::jar(path, &mut file, self.origins.as_mut()),
                    _ => program(&mut file),
                }
            }
            _ => {
                let mut bytes = Vec::new();
                content.take(kind.limit()).read_to_end(&mut bytes)?;
                self.text(path, kind, &bytes)
            }
        };
        match found {
            Ok(packages) => self.add(path, packages),
            Err(Unreadable(reason)) => self.unread(path, reason),
        }
        Ok(())
    }

    fn text(&mut self, path: &str, kind: Kind, bytes: &[u8]) -> Result<Vec<Package>, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(Unreadable::new)?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        match kind {
            Kind::CargoLock => rust::cargo_lock(text),
            Kind::GoMod => {
                let module = go::go_mod(text)?;
                self.go_mods.insert(folder, module.completeness);
                Ok(module.packages)
            }
            Kind::GoSum => {
                let packages = go::go_sum(text).into_iter().map(|package| package.found_in(path)).collect();
                self.go_sums.insert(folder, packages);
                Ok(Vec::new())
            }
            Kind::PackageLock => node::package_lock(text),
            Kind::YarnLock => Ok(node::yarn_lock(text)),
            Kind::PnpmLock => node::pnpm_lock(text),
            Kind::NodePackage => node::package_json(text),
            Kind::Requirements => Ok(python::requirements(text)),
            Kind::PythonLock => python::lock(text),
            Kind::PipfileLock => python::pipfile_lock(text),
            Kind::PythonMetadata => python::metadata(text),
            Kind::Pom => java::pom(text),
            Kind::GradleLock => Ok(java::gradle_lock(text)),
            Kind::OsRelease => {
                self.os_release = self.os_release.take().or_else(|| OsRelease::parse(text));
                Ok(Vec::new())
            }
            Kind::DpkgStatus => {
                let installed = debian::status(text).into_iter();
                self.installed
                    .extend(installed.map(|installed| (path.to_owned(), installed)).take(MAX_PACKAGES));
                Ok(Vec::new())
            }
            // They are no text: `file` has taken them.
            Kind::Jar | Kind::Program => Ok(Vec::new()),
        }
    }

    fn add(&mut self, path: &str, packages: Vec<Package>) {
        let room = MAX_PACKAGES.saturating_sub(self.packages.len());
        if packages.len() > room {
            self.unread(path, format!("more than {MAX_PACKAGES} packages"));
        }
        // What is within an archive has said so itself.
        let located = |package: Package| {
            if package.found_in.is_empty() { package.found_in(path) } else { package }
        };
        self.packages.extend(packages.into_iter().take(room).map(located));
    }

    pub(super) fn unread(&mut self, path: &str, reason: impl Into<String>) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push(Unread { path: path.to_owned(), reason: reason.into() });
        }
    }

    /// All packages, some more than once, and the files that could not be read.
    pub fn finish(mut self) -> (Vec<Package>, Vec<Unread>) {
        let system = self.os_release.take().unwrap_or_default();
        for (path, installed) in std::mem::take(&mut self.installed) {
            match installed.package(&system) {
                Ok(package) => self.add(&path, vec![package]),
                Err(error) => self.unread(&path, error.to_string()),
            }
        }
        for (folder, packages) in std::mem::take(&mut self.go_sums) {
            if self.go_mods.get(&folder) != Some(&go::Completeness::Complete) {
                self.add(&folder, packages);
            }
        }
        (self.packages, self.unread)
    }
}

/// The content where it can be read at any place. `None` for a program that is no ELF file: a script.
fn spooled(kind: Kind, size: u64, content: &mut dyn Read) -> io::Result<Option<SpooledTempFile>> {
    let mut start = Vec::new();
    content.take(4).read_to_end(&mut start)?;
    if kind == Kind::Program && start != *b"\x7fELF" {
        return Ok(None);
    }
    let mut file = match usize::try_from(size) {
        // All at once into a file, so that the memory is not taken first.
        Ok(size) if size <= IN_MEMORY => SpooledTempFile::new(IN_MEMORY),
        _ => SpooledTempFile::new(0),
    };
    io::copy(&mut start.chain(content.take(kind.limit())), &mut file)?;
    file.rewind()?;
    Ok(Some(file))
}

/// What Go and `cargo auditable` leave in the programs that they make.
fn program(file: &mut SpooledTempFile) -> Result<Vec<Package>, Unreadable> {
    let sections = super::ecosystem::program::sections(file)?;
    let mut packages = sections.go.map(|section| go::build_info(&section)).transpose()?.unwrap_or_default();
    packages.extend(sections.rust.map(|section| rust::auditable(&section)).transpose()?.unwrap_or_default());
    Ok(packages)
}
