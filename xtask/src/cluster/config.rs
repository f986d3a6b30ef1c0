//! Configuration files of the parts, written anew by each start of the supervisor. JSON is given to whoever
//! reads YAML.
use std::{fs, net::Ipv4Addr};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    images,
    layout::Layout,
    settings::{Embedded, IMAGES_NAME, REGISTRY_NAME, REGISTRY_PUSH_PORT},
};

/// Folder and certificate of the platform registry.
const REGISTRY: &str = "registry";

/// Where the parts meet within the cluster's mount namespace.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// What the files depend on besides the cluster's settings.
pub struct Facts {
    /// Name servers of the host that are reachable from the cluster.
    pub resolvers: Vec<Ipv4Addr>,
    /// `overlayfs`, or `native` where that does not work.
    pub snapshotter: &'static str,
    /// Folder of the CNI plugins.
    pub cni: &'static str,
    /// Reference of the image that holds a pod's namespaces.
    pub sandbox_image: String,
    /// Whether packets between ports of a bridge pass the rules that translate Service addresses. If not,
    /// answers must be forced back through the node.
    pub is_bridge_filtered: bool,
}

pub fn write(layout: &Layout, cluster: &Embedded, facts: &Facts) -> anyhow::Result<()> {
    for (name, content) in render(layout, cluster, facts) {
        let path = layout.config(&name);
        let folder = path.parent().context("a configuration has a folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// All files: name below `config/`, and content.
pub fn render(layout: &Layout, cluster: &Embedded, facts: &Facts) -> [(String, String); 12] {
    [
        ("audit-policy.json".into(), pretty(&audit_policy())),
        ("kubelet.json".into(), pretty(&kubelet(layout, cluster))),
        ("kube-proxy.json".into(), pretty(&kube_proxy(layout, cluster, facts))),
        ("containerd.toml".into(), containerd(layout, facts)),
        ("cni/10-bridge.conflist".into(), pretty(&cni(cluster))),
        (
            format!("certs.d/{REGISTRY_NAME}/hosts.toml"),
            registry_hosts(layout, REGISTRY_NAME, cluster.registry()),
        ),
        (format!("certs.d/{IMAGES_NAME}/hosts.toml"), registry_hosts(layout, IMAGES_NAME, cluster.images())),
        ("Corefile".into(), corefile(layout, cluster, &facts.resolvers)),
        ("registry-read.json".into(), pretty(&registry_read(layout, cluster))),
        ("registry-push.json".into(), pretty(&registry_push(layout, cluster))),
        (format!("{}.json", images::REGISTRY), pretty(&images::config(layout, cluster))),
        ("resolv.conf".into(), resolv_conf(&facts.resolvers)),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Who did what, without contents: small, and free of secrets.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata" }],
    })
}

fn kubelet(layout: &Layout, cluster: &Embedded) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": cluster.node(),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cluster.group()),
        "enforceNodeAllocatable": [],
        "clusterDNS": [cluster.dns()],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.config("resolv.conf"),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "volumePluginDir": layout.data("kubelet/volume-plugins"),
        // A developer's disk is often nearly full, and nothing must vanish because of it.
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": false,
        // Lowering it is not permitted everywhere.
        "oomScoreAdj": 0,
        "maxPods": 250,
        "serializeImagePulls": false,
        "nodeStatusUpdateFrequency": "10s",
    })
}

fn kube_proxy(layout: &Layout, cluster: &Embedded, facts: &Facts) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": layout.pki("proxy.kubeconfig") },
        "mode": "nftables",
        "clusterCIDR": cluster.pods.to_string(),
        "hostnameOverride": cluster.name,
        "bindAddress": cluster.node(),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // Node ports are taken at the tenants' registry's address, too: its tokens are given at one.
        "nodePortAddresses": [format!("{}/32", cluster.node()), format!("{}/32", cluster.images())],
        "nftables": { "masqueradeAll": !facts.is_bridge_filtered },
        // These limits belong to the whole machine.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    })
}

fn containerd(layout: &Layout, facts: &Facts) -> String {
    // State (sockets, bundles of running containers) goes with the processes: it lies in the private /run.
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd/state"
# Lowering a score is not permitted everywhere.
oom_score = 0

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{cni_config}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries}"
"#,
        root = layout.data("containerd").display(),
        sandbox = facts.sandbox_image,
        cni = facts.cni,
        cni_config = layout.config("cni").display(),
        snapshotter = facts.snapshotter,
        registries = layout.config("certs.d").display(),
    )
}

/// The node's containerd does not ask the cluster's DNS, so it is told the address.
fn registry_hosts(layout: &Layout, name: &str, address: Ipv4Addr) -> String {
    format!(
        "server = \"https://{name}\"\n\n[host.\"https://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  \
         ca = \"{}\"\n",
        layout.pki("ca.crt").display(),
    )
}

fn cni(cluster: &Embedded) -> Value {
    let pods = cluster.pods;
    json!({
        "cniVersion": "0.4.0",
        "name": "konflux",
        "plugins": [
            {
                "type": "bridge",
                "bridge": super::network::BRIDGE,
                "isGateway": true,
                // The host does it, for packets that leave the cluster.
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{
                        "subnet": pods_on_bridge(cluster),
                        // Below are the node and the names of the cluster.
                        "rangeStart": pods.address(1, 0),
                        "rangeEnd": pods.address(127, 254),
                        "gateway": cluster.node(),
                    }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// The half of the pods' subnet that is on the bridge; the link to the host is in the other.
pub fn pods_on_bridge(cluster: &Embedded) -> String {
    format!("{}/17", cluster.pods.address(0, 0))
}

fn corefile(layout: &Layout, cluster: &Embedded, resolvers: &[Ipv4Addr]) -> String {
    let names = cluster.names().map(|(name, address)| format!("        {address} {name}\n")).concat();
    let forward = if resolvers.is_empty() {
        String::new()
    } else {
        let list: Vec<String> = resolvers.iter().map(ToString::to_string).collect();
        format!("    forward . {}\n", list.join(" "))
    };
    format!(
        ".:53 {{\n    bind {node}\n    errors\n    health 127.0.0.1:8080\n    ready 127.0.0.1:8181\n    cache 30\n    \
         hosts {{\n{names}        fallthrough\n    }}\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n        \
         kubeconfig {kubeconfig} dev\n        ttl 5\n        fallthrough in-addr.arpa ip6.arpa\n    }}\n{forward}}}\n",
        node = cluster.node(),
        kubeconfig = layout.pki("coredns.kubeconfig").display(),
    )
}

/// For nodes and everybody else who only reads: no password.
fn registry_read(layout: &Layout, cluster: &Embedded) -> Value {
    let mut config = registry(layout, REGISTRY, cluster.registry(), 443);
    config["storage"]["maintenance"] = json!({ "readonly": { "enabled": true } });
    config
}

/// For those who push. Both serve the same files.
fn registry_push(layout: &Layout, cluster: &Embedded) -> Value {
    let mut config = registry(layout, REGISTRY, cluster.registry(), REGISTRY_PUSH_PORT);
    config["auth"] =
        json!({ "htpasswd": { "realm": REGISTRY_NAME, "path": layout.pki("registry.htpasswd") } });
    config
}

/// What all registries have in common. `name` is that of its folder and its certificate.
pub fn registry(layout: &Layout, name: &str, address: Ipv4Addr, port: u16) -> Value {
    json!({
        "version": "0.1",
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": {
            "filesystem": { "rootdirectory": layout.data(name) },
            "delete": { "enabled": true },
        },
        "http": {
            "addr": format!("{address}:{port}"),
            // Answers name no host, so that they fit every name under which the registry is reached.
            "relativeurls": true,
            "tls": {
                "certificate": layout.pki(&format!("{name}.crt")),
                "key": layout.pki(&format!("{name}.key")),
            },
        },
    })
}

/// Text of a `resolv.conf` with these name servers.
pub fn resolv_conf(resolvers: &[Ipv4Addr]) -> String {
    resolvers.iter().fold(String::new(), |text, address| text + "nameserver " + &address.to_string() + "\n")
}

/// Name servers in the text of a `resolv.conf` that can be reached from another network namespace.
pub fn reachable_resolvers(text: &str) -> Vec<Ipv4Addr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse().ok())
        .filter(|address: &Ipv4Addr| !address.is_loopback())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resolvers: Vec<Ipv4Addr>) -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        let cluster = Embedded::derive("dev", folder.path(), true).unwrap();
        let facts = Facts {
            resolvers,
            snapshotter: "native",
            cni: "/cni",
            sandbox_image: "pod:1".into(),
            is_bridge_filtered: true,
        };
        write(&layout, &cluster, &facts).unwrap();
        (folder, layout)
    }

    #[test]
    fn dns_answers_our_names_and_forwards_the_rest() {
        let (_folder, layout) = written(vec![Ipv4Addr::new(9, 9, 9, 9)]);
        let text = fs::read_to_string(layout.config("Corefile")).unwrap();
        assert!(text.contains("10.88.0.2 registry.dev.konflux.test\n"), "{text}");
        assert!(text.contains("10.88.0.4 git.dev.konflux.test\n"), "{text}");
        assert!(text.contains("forward . 9.9.9.9\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }

    #[test]
    fn dns_without_resolvers_forwards_nothing() {
        let (_folder, layout) = written(Vec::new());
        assert!(!fs::read_to_string(layout.config("Corefile")).unwrap().contains("forward"));
    }

    #[test]
    fn only_the_pushing_registry_writes_and_only_the_reading_one_is_open() {
        let (_folder, layout) = written(Vec::new());
        let read = |file: &str| -> Value {
            serde_json::from_slice(&fs::read(layout.config(file)).unwrap()).unwrap()
        };
        let (reading, pushing) = (read("registry-read.json"), read("registry-push.json"));
        assert_eq!(reading["storage"]["maintenance"]["readonly"]["enabled"], true);
        assert!(reading.get("auth").is_none());
        assert!(pushing["auth"]["htpasswd"]["path"].is_string());
        assert!(pushing["storage"].get("maintenance").is_none());
        assert_eq!(reading["http"]["addr"], "10.88.0.2:443");
        assert_eq!(pushing["http"]["addr"], "10.88.0.2:5443");
    }

    #[test]
    fn the_tenants_registry_takes_tokens_of_one_key_only() {
        let (_folder, layout) = written(Vec::new());
        let path = layout.config("registry-images.json");
        let config: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let token = &config["auth"]["token"];
        assert_eq!(token["realm"], "https://images.dev.konflux.test:30443/token");
        // Not the cluster's authority: that signs for every server.
        assert_eq!(token["rootcertbundle"], layout.pki("images-tokens.crt").display().to_string());
        assert_eq!(config["http"]["addr"], "10.88.0.3:443");
        assert_eq!(config["storage"]["delete"]["enabled"], true);
        let hosts = layout.config("certs.d/images.dev.konflux.test/hosts.toml");
        assert!(fs::read_to_string(hosts).unwrap().contains("[host.\"https://10.88.0.3\"]"));
    }

    #[test]
    fn kubelet_stays_in_the_clusters_own_group() {
        let (_folder, layout) = written(Vec::new());
        let config: Value =
            serde_json::from_slice(&fs::read(layout.config("kubelet.json")).unwrap()).unwrap();
        assert_eq!(config["cgroupRoot"], "/konflux-dev");
    }

    #[test]
    fn resolvers_on_the_loopback_are_of_no_use() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver 10.1.2.3\nnameserver ::1\nsearch x\n";
        assert_eq!(reachable_resolvers(text), [Ipv4Addr::new(10, 1, 2, 3)]);
        assert_eq!(reachable_resolvers("nameserver 127.0.0.1"), [Ipv4Addr::LOCALHOST; 0]);
    }
}
