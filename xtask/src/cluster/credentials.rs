//! Keys, certificates and passwords of a cluster.
//!
//! Authorities, the key of `ServiceAccount` tokens and passwords are made once and kept. Certificates are written anew by
//! each start, so they never expire and always fit the addresses.
use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use testkit::pki::{self, Authority, Leaf};

use super::{
    forge, images,
    layout::Layout,
    settings::{Embedded, FORGE_NAME, IMAGES_NAME, REGISTRY_NAME, REGISTRY_PUSH_PORT},
};

/// User who may push to the platform registry.
pub const PUSH_USER: &str = "konflux";
/// The password is 192 random bits: hashing it slowly would only slow down pushes.
const BCRYPT_COST: u32 = 4;

/// Parts that talk to the API server: (file, user, group). Kubernetes has standard roles for the first five.
const CLIENTS: [(&str, &str, &[&str]); 6] = [
    ("controller-manager", "system:kube-controller-manager", &[]),
    ("scheduler", "system:kube-scheduler", &[]),
    ("proxy", "system:kube-proxy", &[]),
    ("admin", "konflux:admin", &["system:masters"]),
    ("coredns", COREDNS_USER, &[]),
    ("provisioner", PROVISIONER_USER, &[]),
];
pub const COREDNS_USER: &str = "konflux:coredns";
pub const PROVISIONER_USER: &str = "konflux:local-path-provisioner";
/// As whom the API server calls the kubelet, for logs, exec and port-forward.
pub const KUBELET_CLIENT_USER: &str = "konflux:kube-apiserver-kubelet-client";

/// Brings the folder `pki` up to date.
pub fn issue(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let authority = authority(layout, "ca", &format!("konflux {} cluster", cluster.name))?;
    // etcd takes everybody with a certificate as root: its authority signs nothing else.
    let etcd = self::authority(layout, "etcd-ca", &format!("konflux {} etcd", cluster.name))?;
    let node = cluster.node().to_string();

    write_leaf(layout, "etcd", &etcd.server("etcd", &["127.0.0.1"])?)?;
    write_leaf(layout, "etcd-client", &etcd.client("kube-apiserver", &[])?)?;

    // As whom the API server passes requests on to API servers of extensions.
    let front_proxy =
        self::authority(layout, "front-proxy-ca", &format!("konflux {} front proxy", cluster.name))?;
    write_leaf(layout, "front-proxy-client", &front_proxy.client("front-proxy-client", &[])?)?;

    let kubernetes = cluster.services.address(0, 1).to_string();
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        &kubernetes,
        &node,
    ];
    write_leaf(layout, "apiserver", &authority.server("kube-apiserver", &names)?)?;
    write_leaf(layout, "kubelet-client", &authority.client(KUBELET_CLIENT_USER, &[])?)?;
    let kubelet_user = format!("system:node:{}", cluster.name);
    write_leaf(layout, "kubelet", &authority.server(&kubelet_user, &[&cluster.name, &node])?)?;
    for part in ["controller-manager", "scheduler"] {
        write_leaf(layout, part, &authority.server(part, &["127.0.0.1"])?)?;
    }
    for (name, address) in cluster.names() {
        let leaf = authority.server(name, &[name, &address.to_string()])?;
        write_leaf(layout, file_of(name), &leaf)?;
    }

    let kubeconfig = |leaf: &Leaf| pki::kubeconfig(&cluster.api_server(), authority.cert_pem(), leaf);
    let kubelet = authority.client(&kubelet_user, &["system:nodes"])?;
    write_secret(&layout.pki("kubelet.kubeconfig"), &kubeconfig(&kubelet))?;
    for (file, user, groups) in CLIENTS {
        let leaf = authority.client(user, groups)?;
        write_secret(&layout.pki(&format!("{file}.kubeconfig")), &kubeconfig(&leaf))?;
    }
    fs::copy(layout.pki("admin.kubeconfig"), layout.admin_kubeconfig())
        .context("copy the admin kubeconfig")?;

    let key = once(&layout.pki("service-accounts.key"), || {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        Ok(key.serialize_pem())
    })?;
    let key = rcgen::KeyPair::from_pem(&key).context("read the key of ServiceAccount tokens")?;
    // The API server does not find the public half in a PKCS#8 key by itself.
    write_secret(&layout.pki("service-accounts.pub"), &key.public_key_pem())?;
    let unguessable = |file| once(&layout.pki(file), || Ok(unguessable()));
    let password = unguessable("registry-password")?;
    let hash = bcrypt::hash(&password, BCRYPT_COST).context("hash the push password")?;
    write_secret(&layout.pki("registry.htpasswd"), &format!("{PUSH_USER}:{hash}\n"))?;
    let access = json!({
        "name": REGISTRY_NAME,
        "address": cluster.registry(),
        "pushPort": REGISTRY_PUSH_PORT,
        "username": PUSH_USER,
        "password": password,
        "certificateAuthority": authority.cert_pem(),
    });
    write_secret(&layout.registry_access(), &serde_json::to_string_pretty(&access)?)?;

    // A key of its own: whatever it signs is taken for a token.
    self::authority(layout, images::TOKEN_KEY, &format!("konflux {} registry tokens", cluster.name))?;
    let access = images::access(cluster, authority.cert_pem());
    write_secret(&layout.images_access(), &serde_json::to_string_pretty(&access)?)?;

    unguessable("forge-seed")?;
    unguessable("forge-webhook-secret")?;
    match forge::describe(cluster, &unguessable("forge-password")?, authority.cert_pem()) {
        Some(access) => write_secret(&layout.forge_access(), &serde_json::to_string_pretty(&access)?),
        None => forget(&layout.forge_access()),
    }
}

/// A password or key that nobody guesses.
pub fn unguessable() -> String {
    data_encoding::HEXLOWER.encode(&rand::random::<[u8; 24]>())
}

/// Signs a certificate for a server with these DNS names, by the cluster's authority.
pub fn issue_server(layout: &Layout, cluster: &Embedded, names: &[&str]) -> anyhow::Result<Leaf> {
    let authority = authority(layout, "ca", &format!("konflux {} cluster", cluster.name))?;
    Ok(authority.server(names.first().unwrap_or(&""), names)?)
}

/// Writes a kubeconfig with a new certificate of this user, and returns its path.
pub fn issue_user(layout: &Layout, cluster: &Embedded, user: &str) -> anyhow::Result<PathBuf> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._:-".contains(c);
    ensure!(
        user.starts_with(|c: char| c.is_ascii_alphanumeric()) && user.chars().all(is_plain),
        "user {user:?}: use letters, digits and any of @._:- behind the first"
    );
    ensure!(
        !user.starts_with("system:"),
        "user {user:?}: these names are Kubernetes' own, with rights of their own"
    );
    let authority = authority(layout, "ca", &format!("konflux {} cluster", cluster.name))?;
    let leaf = authority.client(user, &[])?;
    let path = layout.user_kubeconfig(user);
    fs::create_dir_all(path.parent().unwrap_or(&path)).context("create a folder for kubeconfigs")?;
    write_secret(&path, &pki::kubeconfig(&cluster.api_server(), authority.cert_pem(), &leaf))?;
    Ok(path)
}

/// Which files hold the certificate of a name of the cluster.
fn file_of(name: &str) -> &str {
    match name {
        REGISTRY_NAME => "registry",
        IMAGES_NAME => "images",
        FORGE_NAME => "forge",
        other => other,
    }
}

fn authority(layout: &Layout, file: &str, common_name: &str) -> anyhow::Result<Authority> {
    let (certificate, key) = (layout.pki(&format!("{file}.crt")), layout.pki(&format!("{file}.key")));
    if certificate.exists() && key.exists() {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
        return Authority::from_pem(&read(&certificate)?, &read(&key)?)
            .with_context(|| format!("authority {}", certificate.display()));
    }
    let authority = Authority::new(common_name)?;
    write_secret(&key, &authority.key_pem())?;
    write_secret(&certificate, authority.cert_pem())?;
    Ok(authority)
}

fn write_leaf(layout: &Layout, file: &str, leaf: &Leaf) -> anyhow::Result<()> {
    write_secret(&layout.pki(&format!("{file}.crt")), &leaf.cert_pem)?;
    write_secret(&layout.pki(&format!("{file}.key")), &leaf.key_pem)
}

/// The content of a file that is made if it does not exist.
fn once(path: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(content) if !content.is_empty() => Ok(content),
        _ => {
            let content = make().with_context(|| format!("make {}", path.display()))?;
            write_secret(path, &content)?;
            Ok(content)
        }
    }
}

fn forget(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whole or not at all, for the owner's eyes only.
pub fn write_secret(path: &Path, content: &str) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keeps_what_others_rely_on_and_renews_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        fs::create_dir(layout.pki("")).unwrap();
        let cluster = Embedded::derive("dev", folder.path(), true).unwrap();
        issue(&layout, &cluster).unwrap();
        let read = |file: &str| fs::read_to_string(layout.pki(file)).unwrap();
        let kept = [
            "ca.crt",
            "ca.key",
            "etcd-ca.crt",
            "service-accounts.key",
            "registry-password",
            "forge-password",
            "forge-webhook-secret",
        ];
        let before: Vec<String> = kept.iter().map(|file| read(file)).collect();
        let certificate = read("apiserver.crt");
        issue(&layout, &cluster).unwrap();
        assert_eq!(kept.iter().map(|file| read(file)).collect::<Vec<_>>(), before);
        assert_ne!(read("apiserver.crt"), certificate);

        let forge = layout.forge_access();
        assert_eq!(testkit::gitea::Access::read(&forge).unwrap().password, read("forge-password"));
        assert_eq!(forge.metadata().unwrap().permissions().mode() & 0o077, 0);
        issue(&layout, &Embedded { forge: false, ..cluster.clone() }).unwrap();
        assert!(!forge.exists(), "the forge is gone, and how it was reached is still told");

        let htpasswd = read("registry.htpasswd");
        let hash = htpasswd.trim().strip_prefix("konflux:").unwrap();
        assert!(bcrypt::verify(read("registry-password"), hash).unwrap());
        for entry in fs::read_dir(layout.pki("")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn user_gets_a_kubeconfig_and_kubernetes_own_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        fs::create_dir(layout.pki("")).unwrap();
        let cluster = Embedded::derive("dev", folder.path(), true).unwrap();
        let path = issue_user(&layout, &cluster, "alice@example.com").unwrap();
        assert!(path.ends_with("users/alice@example.com.kubeconfig"), "{}", path.display());
        assert!(fs::read_to_string(&path).unwrap().contains("client-certificate-data"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
        for refused in ["", "../admin", "a/b", "system:masters", ".."] {
            let refusal = issue_user(&layout, &cluster, refused).unwrap_err().to_string();
            assert!(refusal.contains(&format!("user {refused:?}")), "{refusal}");
        }
    }
}
