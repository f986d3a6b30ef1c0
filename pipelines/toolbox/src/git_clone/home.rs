//! A home for git: logins, keys and authorities of the user's, for as long as git runs.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fleet::Secret;
use tempfile::TempDir;
use url::Url;

/// What of `.ssh` is taken besides the keys.
const SSH_FILES: [&str; 2] = ["config", "known_hosts"];
/// Where systems have the authorities that they trust, as one file.
const SYSTEM_BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where logins come from. Later ones win.
pub(super) struct Sources<'a> {
    pub(super) url: &'a str,
    /// What Tekton has prepared of the service account's Secrets.
    pub(super) user_home: &'a Path,
    pub(super) basic_auth: Option<PathBuf>,
    pub(super) ssh: Option<PathBuf>,
    pub(super) ca_bundle: Option<&'a Path>,
}

/// Gone with its content when it is dropped.
pub(super) struct Home {
    folder: TempDir,
    ssh: Option<String>,
    has_authorities: bool,
}

impl Home {
    pub(super) fn new(sources: &Sources<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a home for git")?;
        let home = folder.path();
        for name in [".gitconfig", ".git-credentials"] {
            copy(&sources.user_home.join(name), &home.join(name))?;
        }
        if let Some(login) = &sources.basic_auth {
            add_login(login, sources.url, home)?;
        }
        let ssh = sources.ssh.clone().unwrap_or_else(|| sources.user_home.join(".ssh"));
        let ssh = if ssh.is_dir() { Some(ssh_command(&ssh, &home.join(".ssh"))?) } else { None };
        let has_authorities = sources.ca_bundle.is_some();
        if let Some(bundle) = sources.ca_bundle {
            write_authorities(bundle, &home.join("authorities.pem"))?;
        }
        Ok(Self { folder, ssh, has_authorities })
    }

    /// What git's environment needs.
    pub(super) fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut env = vec![("HOME", self.folder.path().into())];
        env.extend(self.ssh.iter().map(|command| ("GIT_SSH_COMMAND", command.into())));
        if self.has_authorities {
            env.push(("GIT_SSL_CAINFO", self.folder.path().join("authorities.pem").into()));
        }
        env
    }
}

/// Takes a file if it is there, for this user alone.
fn copy(from: &Path, to: &Path) -> anyhow::Result<bool> {
    if !from.is_file() {
        return Ok(false);
    }
    fs::copy(from, to).with_context(|| format!("read {}", from.display()))?;
    fs::set_permissions(to, Permissions::from_mode(0o600))?;
    Ok(true)
}

/// Takes a login of a workspace: both files of git's own, or user and password.
fn add_login(workspace: &Path, url: &str, home: &Path) -> anyhow::Result<()> {
    let credentials = copy(&workspace.join(".git-credentials"), &home.join(".git-credentials"))?;
    if credentials && copy(&workspace.join(".gitconfig"), &home.join(".gitconfig"))? {
        return Ok(());
    }
    let (user, password) = (workspace.join("username"), workspace.join("password"));
    if !user.is_file() || !password.is_file() {
        bail!(
            "Unknown basic-auth workspace format: it needs .git-credentials and .gitconfig, or username and password"
        );
    }
    let read = |path: &Path| {
        fs::read_to_string(path).map(Secret::new).with_context(|| format!("read {}", path.display()))
    };
    let (user, password) = (read(&user)?, read(&password)?);
    let mut address = Url::parse(url).with_context(|| {
        format!("{}: a user and password are for http(s) addresses only", fleet::redact(url))
    })?;
    address.set_path("");
    address.set_query(None);
    let named = address.set_username(user.expose().trim_end_matches(['\r', '\n'])).is_ok()
        && address.set_password(Some(password.expose().trim_end_matches(['\r', '\n']))).is_ok();
    if !named {
        bail!("{}: a user and password are for http(s) addresses only", fleet::redact(url));
    }
    let line = Secret::new(format!("{address}\n"));
    let file = home.join(".git-credentials");
    fs::write(&file, line.expose())?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    // For its host alone, whatever a redirect says.
    let host = address.host_str().unwrap_or_default();
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    let config = format!("[credential \"{}://{host}{port}\"]\n\thelper = store\n", address.scheme());
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join(".gitconfig"))?
        .write_all(config.as_bytes())?;
    Ok(())
}

/// Takes keys, and makes the command that uses them. ssh looks for its files where the system says that home is, not where
/// the environment does.
fn ssh_command(from: &Path, to: &Path) -> anyhow::Result<String> {
    fs::create_dir(to)?;
    fs::set_permissions(to, Permissions::from_mode(0o700))?;
    let mut command = "ssh -o BatchMode=yes".to_owned();
    let mut names: Vec<_> =
        from.read_dir()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        // The command is split by a shell, and names are the user's. Links of Secrets begin with a dot.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let file = to.join(&name);
        let is_public = file.extension().is_some_and(|extension| extension == "pub");
        if !is_plain || is_public || name.starts_with('.') || !copy(&from.join(&name), &file)? {
            continue;
        }
        if !SSH_FILES.contains(&name.as_str()) {
            command.extend([" -i ", &file.to_string_lossy()]);
        }
    }
    let (config, hosts) = (to.join("config"), to.join("known_hosts"));
    let config = if config.is_file() { config } else { PathBuf::from("/dev/null") };
    let checking = if hosts.is_file() { "yes" } else { "accept-new" };
    let (config, hosts) = (config.display(), hosts.display());
    Ok(format!("{command} -F {config} -o UserKnownHostsFile={hosts} -o StrictHostKeyChecking={checking}"))
}

/// git trusts one file of authorities: the system's and the user's together.
fn write_authorities(bundle: &Path, to: &Path) -> anyhow::Result<()> {
    let mut all = fs::read(bundle).with_context(|| format!("read {}", bundle.display()))?;
    if let Some(system) = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.is_file()) {
        all.push(b'\n');
        all.extend(fs::read(system)?);
    }
    fs::write(to, all)?;
    Ok(())
}
