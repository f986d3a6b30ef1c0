//! What makes one cluster different from another: its name and address ranges, and what follows from them.
//!
//! Everything that a cluster leaves on the host is named after its [`Embedded::id`], so that `up` and `down`
//! recognise their own and never touch another's.
use std::{
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::layout::Layout;

/// Longest name of a network interface that Linux takes.
const INTERFACE_NAME: usize = 15;

/// Begins the names of the interfaces of all clusters.
pub const INTERFACE_PREFIX: &str = "kf-";

/// What `<state>/cluster.json` keeps, so that later commands act on the same cluster without being told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Settings {
    /// A cluster that we run.
    Embedded(Embedded),
    /// Somebody else's cluster, only used.
    External(External),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    pub kubeconfig: PathBuf,
    /// Host and port of a registry that its nodes can pull from, if one was named.
    pub registry: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// Also the name of its only node.
    pub name: String,
    /// Unique on this host: the name, and a hash of the state folder if that is not the usual one.
    pub id: String,
    /// Pods, the node and the registries.
    pub pods: Subnet,
    /// Cluster IPs of Services.
    pub services: Subnet,
    /// Whether a forge is part of it. Clusters that were made before there was one get it too.
    #[serde(default = "yes")]
    pub forge: bool,
}

/// What the user may choose of a cluster; what is left out stays as it is, or is derived from its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    pub pods: Option<Subnet>,
    pub services: Option<Subnet>,
    pub forge: Option<bool>,
}

fn yes() -> bool {
    true
}

impl Embedded {
    /// Derives a cluster from its name; `is_usual_state` is whether the state lies where it does by default.
    pub fn derive(name: &str, state: &Path, is_usual_state: bool) -> anyhow::Result<Self> {
        let is_label = name.len() <= 40
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_label {
            bail!(
                "--name {name:?}: must be 1 to 40 lower case letters, digits and '-', begin with a letter and not end \
                 with '-'"
            );
        }
        let id = if is_usual_state { name.to_owned() } else { format!("{name}-{}", &hash(state)[..6]) };
        let (pods, services) = if id == "dev" {
            (Subnet { first: 10, second: 88 }, Subnet { first: 10, second: 96 })
        } else {
            // Above what container engines and home routers take; below what VPNs like most.
            let pair = u8::from_str_radix(&hash(Path::new(&id))[..2], 16)? % 50;
            (Subnet { first: 10, second: 102 + 2 * pair }, Subnet { first: 10, second: 103 + 2 * pair })
        };
        Ok(Self { name: name.to_owned(), id, pods, services, forge: true })
    }

    /// Host end of the link into the cluster's network namespace.
    pub fn interface(&self) -> String {
        let name = format!("{INTERFACE_PREFIX}{}", self.id);
        if name.len() <= INTERFACE_NAME {
            name
        } else {
            format!("{INTERFACE_PREFIX}{}", &hash(Path::new(&self.id))[..10])
        }
    }

    /// Name of its control group in each hierarchy, and of its table in the host's nftables.
    pub fn group(&self) -> String {
        format!("konflux-{}", self.id)
    }

    /// Address of the node: API server, kubelet, DNS.
    pub fn node(&self) -> Ipv4Addr {
        self.pods.address(0, 1)
    }

    /// Address of the platform registry. Each name of the cluster has an address of its own, so that each can
    /// be served on port 443.
    pub fn registry(&self) -> Ipv4Addr {
        self.pods.address(0, 2)
    }

    /// Address of the tenants' registry.
    pub fn images(&self) -> Ipv4Addr {
        self.pods.address(0, 3)
    }

    /// Address of the forge.
    pub fn forge(&self) -> Ipv4Addr {
        self.pods.address(0, 4)
    }

    /// The names that the cluster's DNS answers besides those of Services.
    pub fn names(&self) -> [(&'static str, Ipv4Addr); 3] {
        [(REGISTRY_NAME, self.registry()), (IMAGES_NAME, self.images()), (FORGE_NAME, self.forge())]
    }

    /// Cluster IP of the DNS Service.
    pub fn dns(&self) -> Ipv4Addr {
        self.services.address(0, 10)
    }

    /// Both ends of the link between host and cluster: (host's, cluster's), the only two of a /30.
    pub fn link(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.pods.address(255, 254), self.pods.address(255, 253))
    }

    pub fn api_server(&self) -> String {
        format!("https://{}:{API_SERVER_PORT}", self.node())
    }
}

pub const API_SERVER_PORT: u16 = 6443;
/// Where images are pushed, with a password. Nodes read on port 443 without one.
pub const REGISTRY_PUSH_PORT: u16 = 5443;
pub const FORGE_PORT: u16 = 443;
/// Port of the tenants' registry's address where its tokens are given: the node port of image-controller's token endpoint.
pub const TOKENS_PORT: u16 = 30443;
/// Where people of this machine ask the archive of runs, at any address of the cluster: a node port of the dev overlay.
pub const RESULTS_PORT: u16 = 30444;
pub const REGISTRY_NAME: &str = "registry.dev.konflux.test";
pub const IMAGES_NAME: &str = "images.dev.konflux.test";
pub const FORGE_NAME: &str = "git.dev.konflux.test";

impl Settings {
    /// What an earlier `up` saved; nothing if there was none.
    pub fn read(layout: &Layout) -> anyhow::Result<Option<Self>> {
        let path = layout.settings();
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("read {}; delete the file to begin anew", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub fn write(&self, layout: &Layout) -> anyhow::Result<()> {
        let path = layout.settings();
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("write {}", path.display()))
    }
}

/// A private /16: `a.b.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: u8,
    second: u8,
}

impl Subnet {
    pub fn address(self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.first, self.second, third, fourth)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, network: Ipv4Addr, prefix: u8) -> bool {
        let mask = |bits: u8| u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let shorter = mask(prefix.min(16));
        u32::from(self.address(0, 0)) & shorter == u32::from(network) & shorter
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/16", self.address(0, 0))
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        text.parse()
    }
}

impl FromStr for Subnet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let address: Option<Ipv4Addr> = text.strip_suffix("/16").and_then(|address| address.parse().ok());
        match address.map(|address| (address.octets(), address.is_private())) {
            Some(([first, second, 0, 0], true)) => Ok(Self { first, second }),
            _ => bail!("{text:?} must be a private network of 16 bits such as 10.120.0.0/16"),
        }
    }
}

fn hash(path: &Path) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(path.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(name: &str, usual: bool) -> Embedded {
        Embedded::derive(name, Path::new("/somewhere"), usual).unwrap()
    }

    #[test]
    fn dev_has_the_documented_addresses() {
        let dev = derive("dev", true);
        assert_eq!(dev.pods.to_string(), "10.88.0.0/16");
        assert_eq!(dev.node().to_string(), "10.88.0.1");
        assert_eq!(dev.dns().to_string(), "10.96.0.10");
        assert_eq!(dev.interface(), "kf-dev");
        assert_eq!(dev.group(), "konflux-dev");
    }

    #[test]
    fn clusters_side_by_side_share_nothing() {
        let [dev, test, moved] = [derive("dev", true), derive("e2e", true), derive("dev", false)];
        for (one, other) in [(&dev, &test), (&dev, &moved), (&test, &moved)] {
            assert_ne!(one.id, other.id);
            assert_ne!(one.interface(), other.interface());
            assert_ne!(one.group(), other.group());
            assert!(!one.pods.overlaps(other.pods.address(0, 0), 16), "{} {}", one.pods, other.pods);
            assert!(!one.pods.overlaps(other.services.address(0, 0), 16));
        }
    }

    #[test]
    fn long_names_make_short_interfaces() {
        let long = derive("a-name-that-is-too-long-for-an-interface", true);
        assert!(long.interface().len() <= INTERFACE_NAME, "{}", long.interface());
    }

    #[test]
    fn refuses_names_that_kubernetes_refuses() {
        for name in ["", "Dev", "1st", "a_b", "end-", "a/b", &"x".repeat(41)] {
            let error = Embedded::derive(name, Path::new("/x"), true).unwrap_err().to_string();
            assert!(error.contains("--name"), "{error}");
        }
    }

    #[test]
    fn subnets_round_trip_and_refuse_others() {
        let subnet: Subnet = "10.120.0.0/16".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.120.0.0/16");
        for text in ["10.120.0.0/15", "10.120.1.0/16", "8.8.0.0/16", "x/16", "10.120.0.0"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_looks_at_the_shorter_prefix() {
        let subnet: Subnet = "10.88.0.0/16".parse().unwrap();
        assert!(subnet.overlaps("10.0.0.0".parse().unwrap(), 8));
        assert!(subnet.overlaps("10.88.7.0".parse().unwrap(), 24));
        assert!(subnet.overlaps("0.0.0.0".parse().unwrap(), 0));
        assert!(!subnet.overlaps("10.89.0.0".parse().unwrap(), 16));
        assert!(!subnet.overlaps("192.168.0.0".parse().unwrap(), 16));
    }

    #[test]
    fn clusters_from_before_there_was_a_forge_get_one() {
        let mut recorded = serde_json::to_value(derive("dev", true)).unwrap();
        recorded.as_object_mut().unwrap().remove("forge");
        assert!(serde_json::from_value::<Embedded>(recorded).unwrap().forge);
    }

    #[test]
    fn settings_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        assert_eq!(Settings::read(&layout).unwrap(), None);
        let external = External { kubeconfig: "/k".into(), registry: Some("r:5000".into()) };
        for settings in [Settings::Embedded(derive("dev", true)), Settings::External(external)] {
            settings.write(&layout).unwrap();
            assert_eq!(Settings::read(&layout).unwrap(), Some(settings));
        }
        std::fs::write(layout.settings(), "{").unwrap();
        let error = format!("{:#}", Settings::read(&layout).unwrap_err());
        assert!(error.contains("delete the file"), "{error}");
    }
}
