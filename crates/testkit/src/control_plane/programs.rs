//! Which binaries a control plane is made of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::tools;

/// Where etcd, the API server and the others come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Our own binary, which is all of them: `kube etcd …`, `kube apiserver …`.
    AllInOne(PathBuf),
    /// A folder with a binary for each, as other Kubernetes projects download them: `etcd`, `kube-apiserver`, ….
    Assets(PathBuf),
}

impl Programs {
    /// `$KUBEBUILDER_ASSETS` where it holds what a control plane needs and `$KONFLUX_KUBE` is unset, else our own.
    pub(crate) fn locate() -> Result<Self, tools::Error> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        match assets {
            Some(folder) if std::env::var_os("KONFLUX_KUBE").is_none() && is_complete(&folder) => {
                Ok(Self::Assets(folder))
            }
            _ => tools::kube_binary().map(Self::AllInOne),
        }
    }

    /// The first words of a command line of `program`: `etcd`, `apiserver`, `controller-manager`, `kubectl`.
    pub(crate) fn command(&self, program: &str) -> Vec<OsString> {
        match self {
            Self::AllInOne(binary) => vec![binary.into(), program.into()],
            Self::Assets(folder) => vec![folder.join(file_name(program)).into()],
        }
    }
}

fn is_complete(assets: &Path) -> bool {
    ["etcd", "apiserver"].iter().all(|program| assets.join(file_name(program)).is_file())
}

fn file_name(program: &str) -> String {
    match program {
        "etcd" | "kubectl" => program.to_owned(),
        component => format!("kube-{component}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_the_command_of_either_source() {
        let ours = Programs::AllInOne("/bin/kube".into());
        assert_eq!(ours.command("apiserver"), ["/bin/kube", "apiserver"]);
        let assets = Programs::Assets("/assets".into());
        assert_eq!(assets.command("apiserver"), ["/assets/kube-apiserver"]);
        assert_eq!(assets.command("kubectl"), ["/assets/kubectl"]);
    }

    #[test]
    fn assets_need_both_etcd_and_an_api_server() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        assert!(!is_complete(folder.path()));
        std::fs::write(folder.path().join("kube-apiserver"), "").unwrap();
        assert!(is_complete(folder.path()));
    }
}
