//! The forge of the cluster: Gitea, as a user without rights, on an address of its own.
//!
//! ```text
//! host   up ─▶ pki/forge-*, forge.json ········ when it serves ─▶ the webhook to sprayproxy
//! node   supervisor ─▶ app.ini, certificates ─▶ env, setpriv ─▶ gitea web ─▶ its administrator
//! ```
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use testkit::gitea::{self, Access, Client, EVENTS, Hook};
use tokio::process::Command;

use super::{
    components::{Component, Ready},
    layout::Layout,
    packages,
    settings::{Embedded, FORGE_NAME, FORGE_PORT},
};
use crate::ui;

/// Name of its part, and of its log.
pub const FORGE: &str = "forge";
/// Part that is no process: the administrator's account.
pub const ACCOUNT: &str = "forge-account";
/// The administrator, by whom all other accounts are made.
const ADMINISTRATOR: &str = "konflux-admin";

/// Where the events of all repositories go: sprayproxy's Service. Its certificate is by the cluster's authority.
pub const WEBHOOK_URL: &str = "https://sprayproxy.sprayproxy.svc.cluster.local/";

/// As whom it runs. Debian gives out no such number by itself, and it has no entry in the host's list of users.
const USER: u32 = 60_604;

/// Its folder within the node. Mounted here, because the state folder's own path may be closed to its user.
pub const FOLDER: &str = "/run/forge";
/// Where the node has the program, for the same reason: the binary and a folder of what it reads.
pub const PROGRAM: &str = "/run/gitea/gitea";
pub const ASSETS: &str = "/run/gitea/assets";

/// The same for everybody who asks how it is started.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SETTINGS: &str = "app.ini";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
const DATA: &str = "data";

/// The process.
pub fn component(cluster: &Embedded) -> Component {
    let words = words(cluster).into_iter().chain(["web".to_owned()]);
    Component {
        name: FORGE,
        program: "env".into(),
        arguments: words.chain(config_flag()).collect(),
        ready: Ready::Answers(format!("https://{}/api/healthz", address(cluster))),
        // It ends what it is at within 5 s.
        grace: Duration::from_secs(8),
    }
}

/// What stands before each command of the program: an environment and a user of its own.
fn words(cluster: &Embedded) -> Vec<String> {
    const BIND: &str = "-all,+net_bind_service";
    vec![
        // Nothing of the environment of whoever ran `up`, proxies least of all.
        "--ignore-environment".into(),
        format!("PATH={PATH}"),
        format!("HOME={FOLDER}/{DATA}"),
        // Webhooks go to Services, with certificates by the cluster's authority.
        format!("SSL_CERT_FILE={FOLDER}/{AUTHORITY}"),
        format!("GITEA_NAME_SERVER={}:53", cluster.node()),
        "setpriv".into(),
        format!("--reuid={USER}"),
        format!("--regid={USER}"),
        "--clear-groups".into(),
        "--no-new-privs".into(),
        // Its port is below 1024.
        format!("--inh-caps={BIND}"),
        format!("--ambient-caps={BIND}"),
        format!("--bounding-set={BIND}"),
        PROGRAM.into(),
    ]
}

fn config_flag() -> [String; 2] {
    ["--config".into(), format!("{FOLDER}/{SETTINGS}")]
}

fn address(cluster: &Embedded) -> SocketAddr {
    SocketAddr::from((cluster.forge(), FORGE_PORT))
}

fn url() -> String {
    format!("https://{FORGE_NAME}/")
}

/// Its configuration, but for the seed of its keys.
pub fn settings(cluster: &Embedded) -> gitea::Settings {
    let within = |name: &str| Path::new(FOLDER).join(name);
    gitea::Settings {
        url: url(),
        listen: address(cluster),
        certificate: within(CERTIFICATE),
        key: within(KEY),
        data: within(DATA),
        assets: ASSETS.into(),
        // Services, pods, and this machine by its end of the link.
        webhooks_to: format!("{},{}", cluster.services, cluster.pods),
        allows_root: false,
        seed: String::new(),
    }
}

/// Tells the host's tools of the forge, or that there is none.
pub fn describe(cluster: &Embedded, password: &str, authority: &str) -> Option<Access> {
    cluster.forge.then(|| Access {
        url: url(),
        address: address(cluster),
        certificate_authority: authority.to_owned(),
        administrator: ADMINISTRATOR.to_owned(),
        password: password.to_owned(),
    })
}

/// In the node: writes what the program reads, for its user alone.
pub fn write(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let read = |file: &str| super::read(&layout.pki(file));
    let settings = gitea::Settings { seed: read("forge-seed")?, ..settings(cluster) };
    let folder = Path::new(FOLDER);
    own(folder, 0o700)?;
    let data = folder.join(DATA);
    fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
    own(&data, 0o700)?;
    for (file, content) in [
        (SETTINGS, settings.render()),
        (CERTIFICATE, read("forge.crt")?),
        (KEY, read("forge.key")?),
        (AUTHORITY, read("ca.crt")?),
    ] {
        let path = folder.join(file);
        super::credentials::write_secret(&path, &content)?;
        own(&path, 0o400)?;
    }
    Ok(())
}

fn own(path: &Path, mode: u32) -> anyhow::Result<()> {
    chown(path, Some(USER), Some(USER))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("give {} to the forge's user", path.display()))
}

/// In the node: has the administrator's account, with the password that the host's tools know.
pub async fn ensure_administrator(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let access = Access::read(&layout.forge_access())?;
    let command = async |arguments: &[&str]| {
        let output = Command::new("env")
            .args(words(cluster))
            .args(arguments)
            .args(config_flag())
            .env("PATH", packages::search_path())
            .current_dir("/")
            .kill_on_drop(true)
            .output()
            .await
            .context("run the forge's program")?;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "{}", text.concat().trim());
        Ok(text.concat())
    };
    gitea::ensure_administrator(&access, command).await
}

/// On the host: has the forge send its events to sprayproxy, and nowhere else.
pub async fn connect(layout: &Layout, flags: &str) -> anyhow::Result<()> {
    let step = ui::step("forge sends its events to sprayproxy");
    let access = Access::read(&layout.forge_access())?;
    let client = Client::new(&access)?;
    ensure!(
        client.whoami().await?.is_some(),
        "the forge refuses its administrator {ADMINISTRATOR}: somebody changed the password. `cargo xtask down{flags}` and \
         `cargo xtask up{flags}` set it again"
    );
    let secret = super::read(&layout.pki("forge-webhook-secret"))?;
    let hook = Hook { url: WEBHOOK_URL, secret: &secret, events: &EVENTS };
    client.ensure_system_hook(&hook).await?;
    let version = client.version().await?;
    step.done_with(&format!("Gitea {version} at https://{}", access.address.ip()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Embedded {
        Embedded::derive("dev", Path::new("/x"), true).unwrap()
    }

    #[test]
    fn listens_on_its_own_address_only_and_delivers_within_the_cluster() {
        let text = settings(&cluster()).render();
        assert!(text.contains("HTTP_ADDR = `10.88.0.4`"), "{text}");
        assert!(text.contains("ALLOWED_HOST_LIST = `10.96.0.0/16,10.88.0.0/16`"), "{text}");
        assert!(text.contains("ROOT_URL = `https://git.dev.konflux.test/`"), "{text}");
    }

    #[test]
    fn runs_as_somebody_without_rights() {
        let line = component(&cluster()).arguments.join(" ");
        // Else the cluster would differ from what was asked for whenever somebody else's environment is looked at.
        assert!(line.starts_with("--ignore-environment PATH=/usr/local/sbin:"), "{line}");
        assert!(line.contains("--reuid=60604 --regid=60604 --clear-groups --no-new-privs"), "{line}");
        assert!(line.ends_with("/run/gitea/gitea web --config /run/forge/app.ini"), "{line}");
    }

    #[test]
    fn a_cluster_without_forge_tells_of_none() {
        assert!(describe(&cluster(), "p", "ca").is_some());
        assert!(describe(&Embedded { forge: false, ..cluster() }, "p", "ca").is_none());
    }
}
