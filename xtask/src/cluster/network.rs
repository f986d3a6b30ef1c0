//! The cluster's own network, and the one link between it and the host.
//!
//! ```text
//!  host                            cluster's network namespace
//!  kf-dev 10.88.255.254/30 ─veth─ uplink 10.88.255.253/30
//!    route 10.88.0.0/17, 10.96.0.0/16 →        kdev0 10.88.0.1/17 (bridge) ── pods 10.88.1.0 and up
//!    masquerades what leaves                   lo 10.88.0.2, .3, .4: registries and forge
//! ```
//! All but the host's end lives and dies with the namespace.
use std::{collections::BTreeSet, fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::AsyncWriteExt as _,
    process::Command,
    time::{Instant, sleep},
};

use super::{
    config::pods_on_bridge,
    packages,
    settings::{Embedded, INTERFACE_PREFIX},
};

/// The bridge that pods are attached to.
pub const BRIDGE: &str = "kdev0";
/// Locally administered. Each cluster has a network of its own, so that one is enough.
const BRIDGE_ADDRESS: &str = "0a:58:00:00:00:01";
/// The cluster's end of the link.
const UPLINK: &str = "uplink";
const LINK_DEADLINE: Duration = Duration::from_secs(30);
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// There while the host forwards for our sake only. Of all clusters together: the last one switches it off.
const FORWARDING_WAS_OFF: &str = "/run/konflux-forwarding-was-off";
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Sets up the inside. Waits for the link, which only the host can make.
pub async fn join(cluster: &Embedded) -> anyhow::Result<()> {
    ip(&["link", "set", "lo", "up"]).await?;
    for (_, address) in cluster.names() {
        ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]).await?;
    }
    // A bridge without an address of its own borrows that of a pod, and changes it when that pod goes: the others then send to
    // nobody until they ask anew, some 40 s later.
    ip(&["link", "add", BRIDGE, "address", BRIDGE_ADDRESS, "type", "bridge"]).await?;
    ip(&["address", "add", &format!("{}/17", cluster.node()), "dev", BRIDGE]).await?;
    ip(&["link", "set", BRIDGE, "up"]).await?;

    let (host, ours) = cluster.link();
    let deadline = Instant::now() + LINK_DEADLINE;
    while let Err(error) = ip(&["link", "show", UPLINK]).await {
        if Instant::now() > deadline {
            return Err(error.context("the host did not make the link"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    ip(&["address", "add", &format!("{ours}/30"), "dev", UPLINK]).await?;
    ip(&["link", "set", UPLINK, "up"]).await?;
    ip(&["route", "add", "default", "via", &host.to_string()]).await?;
    fs::write(FORWARD, "1").with_context(|| format!("write {FORWARD}"))?;
    Ok(())
}

/// Whether packets from pod to pod pass the rules that translate Service addresses; turns that on if it can.
pub fn filter_bridge() -> bool {
    fs::write(BRIDGE_FILTER, "1").is_ok()
}

/// Makes the host's side: link, routes, translation of what leaves. `pid` is any process of the cluster.
pub async fn attach(cluster: &Embedded, pid: i32) -> anyhow::Result<()> {
    // Some kernels load it only when told to; where it is built in, or absent, this does nothing.
    let _ = Command::new("modprobe").arg("br_netfilter").env("PATH", packages::search_path()).output().await;
    let (interface, (ours, cluster_end)) = (cluster.interface(), cluster.link());
    let pid = pid.to_string();
    ip(&["link", "add", &interface, "type", "veth", "peer", "name", UPLINK, "netns", &pid]).await?;
    ip(&["address", "add", &format!("{ours}/30"), "dev", &interface]).await?;
    ip(&["link", "set", &interface, "up"]).await?;
    for subnet in [pods_on_bridge(cluster), cluster.services.to_string()] {
        ip(&["route", "add", &subnet, "via", &cluster_end.to_string()]).await?;
    }
    nft(&translation(cluster)).await?;
    for rule in host_firewall_rules(cluster) {
        firewall("-I", &rule).await?;
    }
    Ok(())
}

/// Lets packets pass from the cluster to the outside, and remembers whether that had to be changed.
pub fn forward() -> anyhow::Result<()> {
    let before = fs::read_to_string(FORWARD).with_context(|| format!("read {FORWARD}"))?;
    if before.trim() != "1" {
        fs::write(FORWARDING_WAS_OFF, "").with_context(|| format!("write {FORWARDING_WAS_OFF}"))?;
        fs::write(FORWARD, "1").with_context(|| format!("write {FORWARD}"))?;
    }
    Ok(())
}

/// Takes [`forward`] back, unless another cluster needs it.
pub fn forward_no_more(cluster: &Embedded) -> anyhow::Result<()> {
    let is_needed = fs::read_dir("/sys/class/net")?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with(INTERFACE_PREFIX) && name != cluster.interface());
    if !is_needed && Path::new(FORWARDING_WAS_OFF).exists() {
        fs::write(FORWARD, "0").with_context(|| format!("write {FORWARD}"))?;
        fs::remove_file(FORWARDING_WAS_OFF).with_context(|| format!("remove {FORWARDING_WAS_OFF}"))?;
    }
    Ok(())
}

/// Whether the host's side, or a rest of it, is there.
pub async fn is_attached(cluster: &Embedded) -> bool {
    Path::new("/sys/class/net").join(cluster.interface()).exists() || has_table(cluster).await
}

/// Removes the host's side, as much of it as there is.
pub async fn detach(cluster: &Embedded) -> anyhow::Result<()> {
    if Path::new("/sys/class/net").join(cluster.interface()).exists() {
        // The kernel may be about to remove it, with the namespace of its other end.
        let removed = ip(&["link", "delete", &cluster.interface()]).await;
        if Path::new("/sys/class/net").join(cluster.interface()).exists() {
            removed?;
        }
    }
    if has_table(cluster).await {
        nft(&format!("delete table ip {}\n", cluster.group())).await?;
        for rule in host_firewall_rules(cluster) {
            // Absent unless the host's firewall needed it.
            let _ = firewall("-D", &rule).await;
        }
    }
    Ok(())
}

async fn has_table(cluster: &Embedded) -> bool {
    let listed = Command::new("nft")
        .args(["list", "table", "ip", &cluster.group()])
        .env("PATH", packages::search_path())
        .output()
        .await;
    listed.is_ok_and(|output| output.status.success())
}

fn translation(cluster: &Embedded) -> String {
    format!(
        "add table ip {table}\nadd chain ip {table} leaving {{ type nat hook postrouting priority srcnat; }}\nadd \
         rule ip {table} leaving ip saddr {pods} ip daddr != {{ {pods}, {services} }} oifname != \"lo\" masquerade\n",
        table = cluster.group(),
        pods = cluster.pods,
        services = cluster.services,
    )
}

/// Rules for hosts whose own firewall drops what it does not know, as container engines set it up.
fn host_firewall_rules(cluster: &Embedded) -> [[String; 4]; 2] {
    ["-i", "-o"].map(|direction| [direction.into(), cluster.interface(), "-j".into(), "ACCEPT".into()])
}

/// Adds or deletes a rule of the host's chain FORWARD, if the host has one that drops. It makes no chain.
async fn firewall(change: &str, rule: &[String; 4]) -> anyhow::Result<()> {
    let chain = Command::new("nft")
        .args(["list", "chain", "ip", "filter", "FORWARD"])
        .env("PATH", packages::search_path())
        .output()
        .await?;
    if !String::from_utf8_lossy(&chain.stdout).contains("policy drop") {
        return Ok(());
    }
    let mut arguments = vec!["-w", change, "FORWARD"];
    arguments.extend(rule.iter().map(String::as_str));
    command("iptables", &arguments).await
}

/// Refuses address ranges that the host uses for something else.
pub async fn check_free(cluster: &Embedded) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(["-4", "route", "show", "table", "all"])
        .env("PATH", packages::search_path())
        .output()
        .await
        .context("run ip")?;
    let routes = String::from_utf8_lossy(&output.stdout);
    let taken = taken(cluster, &routes);
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "address ranges of the cluster are in use: {}. Choose others with --pods-subnet and --services-subnet, such \
         as 10.210.0.0/16 and 10.211.0.0/16",
        taken.join("; ")
    );
}

/// Which of the cluster's ranges collide with which of the host's routes, in words.
fn taken(cluster: &Embedded, routes: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // The kernel has several routes for each address of an interface.
    let mut seen = BTreeSet::new();
    for line in routes.lines() {
        let mut words = line.split_whitespace().skip_while(|word| {
            ["local", "broadcast", "unreachable", "blackhole", "prohibit", "unicast"].contains(word)
        });
        let Some((network, prefix)) = words.next().and_then(parse_prefix) else { continue };
        let device = words.skip_while(|word| *word != "dev").nth(1).unwrap_or("no device");
        // Loopback addresses are nobody's route, and a default route leads everywhere.
        if prefix == 0 || network.is_loopback() || device == cluster.interface() {
            continue;
        }
        for (range, of) in [(cluster.pods, "pods"), (cluster.services, "Services")] {
            if range.overlaps(network, prefix) && seen.insert((of, device)) {
                found.push(format!("{range} of {of} by {network}/{prefix} on {device}"));
            }
        }
    }
    found
}

/// `10.1.0.0/16`, `10.1.2.3`; nothing for `default` and other words.
fn parse_prefix(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    Some((address.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
}

async fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    command("ip", arguments).await
}

async fn command(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", packages::search_path())
        .output()
        .await
        .with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

async fn nft(script: &str) -> anyhow::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .env("PATH", packages::search_path())
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .context("run nft")?;
    child.stdin.take().context("stdin is piped")?.write_all(script.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("nft: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Embedded {
        Embedded::derive("dev", Path::new("/x"), true).unwrap()
    }

    #[test]
    fn names_who_holds_a_range() {
        let routes = "default via 192.0.2.1 dev eth0 \n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2\n\
                      10.88.0.0/16 dev podman0 proto kernel scope link src 10.88.0.1\n\
                      local 10.88.0.1 dev podman0 table local\nlocal 10.96.3.4 dev vpn0 table local\n";
        assert_eq!(
            taken(&dev(), routes),
            [
                "10.88.0.0/16 of pods by 10.88.0.0/16 on podman0",
                "10.96.0.0/16 of Services by 10.96.3.4/32 on vpn0",
            ]
        );
    }

    #[test]
    fn neither_default_routes_nor_our_own_are_in_the_way() {
        let routes = "default via 10.88.0.9 dev eth0\n10.88.0.0/17 via 10.88.255.253 dev kf-dev\n\
                      local 127.0.0.1 dev lo table local\nbroadcast 192.0.2.255 dev eth0 table local\nnonsense\n";
        assert_eq!(taken(&dev(), routes), [""; 0]);
    }

    #[test]
    fn routes_that_contain_a_range_are_in_the_way() {
        assert_eq!(taken(&dev(), "10.0.0.0/8 dev tun0").len(), 2);
    }

    #[test]
    fn translation_names_only_our_table() {
        let script = translation(&dev());
        assert!(script.lines().all(|line| line.contains(" ip konflux-dev")), "{script}");
        assert!(script.contains("10.88.0.0/16"), "{script}");
    }
}
