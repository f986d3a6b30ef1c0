//! Programs that come from the distribution.
use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::ui;

/// What we run, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 15] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("docker-registry", "docker-registry"),
    ("nft", "nftables"),
    // Of the CNI plugin for host ports.
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("modprobe", "kmod"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    // Of the forge, which is somebody without rights.
    ("setpriv", "util-linux"),
    ("git", "git"),
    // Compiles its database.
    ("gcc", "build-essential"),
];
const CNI_PACKAGE: &str = "containernetworking-plugins";
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
const CNI_PLUGINS: [&str; 3] = ["bridge", "host-local", "portmap"];
const CERTIFICATES: (&str, &str) = ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates");
/// Asked by packages before they start a service of theirs: ours must not begin to listen by being installed.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where `sbin` is not in `PATH`, programs are found nevertheless.
pub fn search_path() -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", path.to_string_lossy())
}

/// Full path of a program, if installed.
pub fn find(program: &str) -> Option<PathBuf> {
    search_path().split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// Folder with the network plugins, if installed.
pub fn cni_folder() -> Option<&'static str> {
    CNI_FOLDERS
        .into_iter()
        .find(|folder| CNI_PLUGINS.iter().all(|plugin| Path::new(folder).join(plugin).is_file()))
}

/// Packages that are not there, each once.
fn missing(has_program: impl Fn(&str) -> bool, has_cni: bool, has_certificates: bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !has_program(program)).map(|(_, package)| *package).collect();
    if !has_cni {
        packages.push(CNI_PACKAGE);
    }
    if !has_certificates {
        packages.push(CERTIFICATES.1);
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Installs what is missing. Needs root and apt-get only if something is.
pub async fn install() -> anyhow::Result<()> {
    let absent = || {
        missing(
            |program| find(program).is_some(),
            cni_folder().is_some(),
            Path::new(CERTIFICATES.0).is_file(),
        )
    };
    install_absent(absent).await
}

/// Installs one program that not everybody needs.
pub async fn install_program(program: &str, package: &'static str) -> anyhow::Result<()> {
    install_absent(|| if find(program).is_some() { Vec::new() } else { vec![package] }).await
}

/// Installs PostgreSQL, whose programs lie in no `PATH`: tests start one of their own.
pub async fn install_postgres() -> anyhow::Result<()> {
    let is_there = testkit::postgres::is_installed;
    install_absent(|| if is_there() { Vec::new() } else { vec!["postgresql"] }).await
}

/// `absent` says what is missing, before and after.
async fn install_absent(absent: impl Fn() -> Vec<&'static str>) -> anyhow::Result<()> {
    let packages = absent();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find("apt-get").is_none() {
        bail!(
            "programs are missing and this is no Debian (no apt-get). Install, by the names they have in your \
             distribution: {list}"
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("packages are missing: run as root, or have them installed: apt-get install {list}");
    }
    let step = ui::step("Debian packages are installed");
    step.waiting(&list);
    let _policy = ServicePolicy::forbid_starts()?;
    // Lists may be absent or old; if they cannot be had the installation says so better.
    let _ = apt(&["update"]).await;
    let mut arguments = vec!["install", "--no-install-recommends", "--yes"];
    arguments.extend(&packages);
    apt(&arguments).await.with_context(|| format!("install {list}"))?;
    disable_services(&packages).await;
    let still = absent();
    if !still.is_empty() {
        bail!("packages {} are installed, but programs of theirs are not found in PATH", still.join(" "));
    }
    step.done_with(&list);
    Ok(())
}

async fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .await
        .context("run apt-get")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    bail!("apt-get {}: {}{}", arguments.join(" "), text.trim(), apt_advice(&text));
}

/// What to do about the failures that people meet.
fn apt_advice(text: &str) -> &'static str {
    if text.contains("No space left") {
        "\nThe disk is full: free some space and run this again."
    } else if ["Could not resolve", "Failed to fetch", "Could not connect"]
        .iter()
        .any(|mark| text.contains(mark))
    {
        "\nThe package mirror was not reached: check network and /etc/apt/sources.list, then run this again."
    } else if text.contains("Unable to locate package") {
        "\nThis release of the distribution does not have it: Debian 12 or newer is needed."
    } else {
        ""
    }
}

/// Under systemd, packages also have their services started at the next boot; we start what we need ourselves.
async fn disable_services(packages: &[&str]) {
    if !Path::new("/run/systemd/system").is_dir() {
        return;
    }
    for package in
        packages.iter().filter(|package| ["containerd", "docker-registry", "postgresql"].contains(package))
    {
        // A package without the unit is fine.
        let _ = Command::new("systemctl").args(["disable", &format!("{package}.service")]).output().await;
    }
}

/// While it lives, packages that are installed do not start services.
struct ServicePolicy {
    is_ours: bool,
}

impl ServicePolicy {
    fn forbid_starts() -> anyhow::Result<Self> {
        let path = Path::new(SERVICE_POLICY);
        if path.exists() {
            return Ok(Self { is_ours: false });
        }
        fs::write(path, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {SERVICE_POLICY}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(Self { is_ours: true })
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(SERVICE_POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_missing_package_once() {
        assert_eq!(missing(|_| true, true, true), [""; 0]);
        assert_eq!(
            missing(|program| !["ctr", "containerd", "nft"].contains(&program), true, true),
            ["containerd", "nftables"]
        );
        assert_eq!(missing(|_| true, false, false), ["ca-certificates", CNI_PACKAGE]);
    }

    #[test]
    fn advises_on_common_failures() {
        assert!(apt_advice("E: Failed to fetch http://…").contains("mirror"));
        assert!(apt_advice("write: No space left on device").contains("disk is full"));
        assert!(apt_advice("E: Unable to locate package x").contains("Debian 12"));
        assert_eq!(apt_advice("something else"), "");
    }
}
