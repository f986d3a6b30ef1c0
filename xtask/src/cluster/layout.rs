//! The state folder of a cluster, as the host sees it and as its processes see it.
//!
//! ```text
//! cluster.json      what the cluster is               report.json    what the supervisor says
//! admin.kubeconfig  for people and tools              bin/kubectl    the same, wrapped
//! pki/              authority, certificates, keys     config/        written anew by each start
//! logs/             one file per part, audit.log      pod-logs/      /var/log of the node
//! users/            kubeconfigs of people without rights of an administrator
//! forge.json        how its administrator reaches the forge
//! tenants-registry.json   how the tenants' registry is reached from the host
//! platform-registry.json  how the platform registry is, by who may push
//! etcd/ kubelet/ containerd/ registry/ images/ volumes/ forge/    what is kept while the cluster is down
//! ```
use std::path::PathBuf;

/// Where processes of the cluster find the state folder, wherever it lies: in configurations a constant, and
/// short enough for unix sockets (108 bytes).
const IN_NODE: &str = "/run/konflux";

/// Paths below a state folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder from within the cluster's own mount namespace.
    pub fn in_node() -> Self {
        Self { root: IN_NODE.into() }
    }

    pub fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Folders that have to exist before anything starts.
    pub fn folders(&self) -> [PathBuf; 12] {
        [
            "bin",
            "pki",
            "config",
            "logs",
            "pod-logs",
            "etcd",
            "kubelet",
            "containerd",
            "registry",
            "images",
            "volumes",
            "forge",
        ]
        .map(|name| self.root.join(name))
    }

    pub fn settings(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub fn report(&self) -> PathBuf {
        self.root.join("report.json")
    }

    /// Held by the command that changes the cluster.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }

    pub fn user_kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join("users").join(format!("{user}.kubeconfig"))
    }

    pub fn forge_access(&self) -> PathBuf {
        self.root.join("forge.json")
    }

    pub fn images_access(&self) -> PathBuf {
        self.root.join("tenants-registry.json")
    }

    pub fn registry_access(&self) -> PathBuf {
        self.root.join("platform-registry.json")
    }

    pub fn kubectl(&self) -> PathBuf {
        self.root.join("bin/kubectl")
    }

    pub fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    pub fn log(&self, part: &str) -> PathBuf {
        self.root.join("logs").join(format!("{part}.log"))
    }

    pub fn data(&self, part: &str) -> PathBuf {
        self.root.join(part)
    }
}
