//! Where the programs that tests and the dev cluster need are kept: a cache folder outside the checkout, so that
//! a fresh clone on the same machine is warm.
mod kubernetes;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

pub use self::kubernetes::{Release, Unknown};

/// Where Go looks for versions of modules unless told otherwise.
const MODULES: &str = "go.mod";

/// Why a program was not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no folder for built programs: set KONFLUX_CACHE to one, or HOME")]
    NoCache,
    #[error("read {path}, a source of {name}")]
    Source { name: String, path: PathBuf, source: io::Error },
    #[error("{variable}={path} is no file: point it at the program or unset it")]
    Variable { variable: &'static str, path: PathBuf },
    #[error(
        "{name} is not built ({path} does not exist): run `cargo xtask up --build-only`, which needs no root"
    )]
    NotBuilt { name: String, path: PathBuf },
}

/// One of our Go programs, or one of its builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoProgram {
    /// Of the build: `coredns`, `kube-1.33`.
    pub name: String,
    /// Folder of its module, `tools/<program>`.
    pub sources: PathBuf,
    /// File in there with the versions of the modules that it is built from; their hashes lie beside it, in `.sum`.
    pub modules: String,
    /// The Kubernetes that this is a build of.
    pub release: Option<Release>,
    /// Where the built binary is or will be. The name carries a hash of what it is built from, so that
    /// checkouts of different ages share one cache.
    pub binary: PathBuf,
}

/// The folder for built programs and other things that can be made again: `$KONFLUX_CACHE`, else
/// `$XDG_CACHE_HOME/konflux-rs`, else `~/.cache/konflux-rs`.
pub fn cache_dir() -> Result<PathBuf, Error> {
    cache_dir_in(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_dir_in(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    variable("KONFLUX_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("konflux-rs")))
        .or_else(|| Some(variable("HOME")?.join(".cache/konflux-rs")))
        .ok_or(Error::NoCache)
}

/// Describes the program of `tools/<name>`, built or not.
pub fn go_program(name: &str) -> Result<GoProgram, Error> {
    GoProgram::new(name.to_owned(), name, MODULES.to_owned(), None)
}

/// Describes `tools/kube` as it is built for this release of Kubernetes, built or not.
pub fn kubernetes(release: Release) -> Result<GoProgram, Error> {
    GoProgram::new(release.program(), "kube", release.modules(), Some(release))
}

impl GoProgram {
    fn new(name: String, folder: &str, modules: String, release: Option<Release>) -> Result<Self, Error> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(folder);
        let hash = source_hash(&name, &sources, &modules, release)?;
        let binary = cache_dir()?.join("bin").join(format!("{name}-{hash}"));
        Ok(Self { name, sources, modules, release, binary })
    }

    /// Where files lie that a program reads besides itself, of those that do. There before the binary is.
    pub fn assets(&self) -> PathBuf {
        let name = self.binary.file_name().unwrap_or_default().to_string_lossy();
        self.binary.with_file_name(format!("{name}.assets"))
    }
}

/// Gitea, a forge, built before.
pub fn gitea() -> Result<GoProgram, Error> {
    built("gitea")
}

/// sigstore's own cosign, an outside witness of signatures, built before.
pub fn cosign() -> Result<PathBuf, Error> {
    built("cosign").map(|program| program.binary)
}

/// An object store that speaks S3, built before.
pub fn s3() -> Result<PathBuf, Error> {
    built("s3").map(|program| program.binary)
}

fn built(name: &str) -> Result<GoProgram, Error> {
    let program = go_program(name)?;
    if program.binary.is_file() {
        Ok(program)
    } else {
        Err(Error::NotBuilt { name: program.name, path: program.binary })
    }
}

/// The program that is all of Kubernetes, etcd and kubectl: `kube etcd|apiserver|kubelet|kubectl|…`.
///
/// `$KONFLUX_KUBE` names another build of it; without it, this is that of [`Release::DEFAULT`].
pub fn kube_binary() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os("KONFLUX_KUBE").map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Error::Variable { variable: "KONFLUX_KUBE", path })
        };
    }
    let GoProgram { name, binary: path, .. } = kubernetes(Release::DEFAULT)?;
    if path.is_file() { Ok(path) } else { Err(Error::NotBuilt { name, path }) }
}

/// Hash of all that decides the program: its Go files, the versions it requires, and how it is linked.
fn source_hash(name: &str, folder: &Path, modules: &str, release: Option<Release>) -> Result<String, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Source { name: name.to_owned(), path, source }
    };
    let sums = Path::new(modules).with_extension("sum");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let is_source = path.extension().is_some_and(|extension| extension == "go")
            || path.file_name().is_some_and(|file| file == modules || file == sums);
        if is_source {
            files.push(path);
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    hash.update(release.map_or("", Release::version));
    for path in files {
        let content = fs::read(&path).map_err(failed(&path))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(data_encoding::HEXLOWER.encode(&hash.finalize()[..6]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(variables: &[(&str, &str)]) -> Option<PathBuf> {
        cache_dir_in(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
            .ok()
    }

    #[test]
    fn our_own_variable_wins() {
        let all = [("KONFLUX_CACHE", "/k"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(cache(&all), Some("/k".into()));
        assert_eq!(cache(&all[1..]), Some("/x/konflux-rs".into()));
        assert_eq!(cache(&all[2..]), Some("/h/.cache/konflux-rs".into()));
        assert_eq!(cache(&[]), None);
    }

    #[test]
    fn hash_follows_what_the_build_is_made_from() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        let hash = |modules, release| source_hash("x", folder.path(), modules, release).unwrap();
        write("main.go", "package main");
        write("go.mod", "module x");
        write("x-1.mod", "module x");
        let (usual, other) = (hash("go.mod", None), hash("x-1.mod", None));

        write("README.md", "words");
        assert_eq!((hash("go.mod", None), hash("x-1.mod", None)), (usual.clone(), other.clone()));
        write("go.mod", "module y");
        assert_ne!(hash("go.mod", None), usual);
        assert_eq!(hash("x-1.mod", None), other);
        write("x-1.sum", "a module's hash");
        assert_ne!(hash("x-1.mod", None), other);
        assert_ne!(hash("x-1.mod", Some(Release::OLDEST)), hash("x-1.mod", None));
    }

    #[test]
    fn releases_are_the_required_ones() {
        for release in Release::ALL {
            let GoProgram { sources, modules, .. } = kubernetes(release).unwrap();
            let text = fs::read_to_string(sources.join(&modules)).unwrap();
            assert!(
                text.contains(&format!("\tk8s.io/kubernetes {release}\n")),
                "tools/kube/{modules} requires no {release}"
            );
        }
    }

    #[test]
    fn builds_of_releases_lie_side_by_side() {
        let names = Release::ALL.map(|release| kubernetes(release).unwrap().name);
        assert_eq!(names[1], "kube");
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    }
}
