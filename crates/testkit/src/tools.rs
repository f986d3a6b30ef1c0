//! Where the programs that tests and the dev cluster need are kept: a cache folder outside the checkout, so that
//! a fresh clone on the same machine is warm.
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// Version of Kubernetes that `tools/kube/go.mod` requires. Clusters report it as their own.
pub const KUBERNETES_VERSION: &str = "v1.34.4";

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
        "{name} is not built ({path} does not exist): run `cargo xtask up`, or without root `cargo xtask up --build-only`"
    )]
    NotBuilt { name: String, path: PathBuf },
}

/// One of our Go programs, `tools/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoProgram {
    pub name: String,
    /// Its module: `tools/<name>`.
    pub sources: PathBuf,
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
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(name);
    let hash = source_hash(name, &sources)?;
    let binary = cache_dir()?.join("bin").join(format!("{name}-{hash}"));
    Ok(GoProgram { name: name.to_owned(), sources, binary })
}

/// The program that is all of Kubernetes, etcd and kubectl: `kube etcd|apiserver|kubelet|kubectl|…`.
///
/// `$KONFLUX_KUBE` names another build of it.
pub fn kube_binary() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os("KONFLUX_KUBE").map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Error::Variable { variable: "KONFLUX_KUBE", path })
        };
    }
    let GoProgram { name, binary: path, .. } = go_program("kube")?;
    if path.is_file() { Ok(path) } else { Err(Error::NotBuilt { name, path }) }
}

/// Hash of all that decides the program: its Go files, the versions it requires, and how it is linked.
fn source_hash(name: &str, folder: &Path) -> Result<String, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Source { name: name.to_owned(), path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let is_source = path.extension().is_some_and(|extension| extension == "go")
            || path.file_name().is_some_and(|file| file == "go.mod" || file == "go.sum");
        if is_source {
            files.push(path);
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    hash.update(KUBERNETES_VERSION);
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
    fn hash_follows_sources_only() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.go"), "package main").unwrap();
        fs::write(folder.path().join("go.mod"), "module x").unwrap();
        let before = source_hash("x", folder.path()).unwrap();
        fs::write(folder.path().join("README.md"), "words").unwrap();
        assert_eq!(source_hash("x", folder.path()).unwrap(), before);
        fs::write(folder.path().join("go.mod"), "module y").unwrap();
        assert_ne!(source_hash("x", folder.path()).unwrap(), before);
    }

    #[test]
    fn version_is_the_required_one() {
        let module = go_program("kube").unwrap().sources.join("go.mod");
        let text = fs::read_to_string(module).unwrap();
        assert!(
            text.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}")),
            "tools/kube/go.mod differs"
        );
    }
}
