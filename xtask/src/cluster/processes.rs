//! Finds and ends the processes of a cluster.
//!
//! The node is a process namespace: when its first process ends, the kernel ends all others in it, and with
//! them go the mount and network namespaces. So there is little to find, and nothing to keep record of: the
//! few processes that the host starts name the state folder as their last argument.
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

/// Hidden commands of this program.
pub const INIT: &str = "node-init";
pub const SUPERVISOR: &str = "supervise";

/// Given to the supervisor to end all parts in order.
const GRACE: Duration = Duration::from_secs(30);
/// Given to the kernel to end what is left.
const KILL_GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// The processes of one state folder, by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Made the namespaces and waits outside them.
    pub outer: Vec<i32>,
    /// The first process within.
    pub init: Vec<i32>,
    pub supervisor: Vec<i32>,
}

impl Processes {
    /// Those that run now for the state folder.
    pub fn find(state: &Path) -> Self {
        let mut found = Self::default();
        let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        for entry in entries {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // It may have ended meanwhile.
            let Ok(command) = fs::read(entry.path().join("cmdline")) else { continue };
            match role(&command, state) {
                Some(Role::Outer) => found.outer.push(pid),
                Some(Role::Init) => found.init.push(pid),
                Some(Role::Supervisor) => found.supervisor.push(pid),
                None => {}
            }
        }
        found
    }

    pub fn is_empty(&self) -> bool {
        self.outer.is_empty() && self.init.is_empty() && self.supervisor.is_empty()
    }

    /// All three are there, as in a cluster that runs.
    pub fn is_complete(&self) -> bool {
        !self.outer.is_empty() && !self.init.is_empty() && !self.supervisor.is_empty()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pids = match signal {
            Signal::SIGTERM => self.supervisor.clone(),
            _ => [&self.init[..], &self.supervisor, &self.outer].concat(),
        };
        for pid in pids {
            match kill(Pid::from_raw(pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => anyhow::bail!("end process {pid}: {error}"),
            }
        }
        Ok(())
    }
}

/// Ends the processes of a state folder: in order if they can, by force if not. Waits until they are gone.
pub async fn end(state: &Path) -> anyhow::Result<()> {
    let found = Processes::find(state);
    if found.is_complete() {
        found.signal(Signal::SIGTERM)?;
        if is_gone(state, GRACE).await {
            return Ok(());
        }
    }
    let found = Processes::find(state);
    found.signal(Signal::SIGKILL)?;
    if !is_gone(state, KILL_GRACE).await {
        anyhow::bail!(
            "processes {:?} do not end though they were killed; they may hang in the kernel: look at dmesg, and \
             restart the machine if nothing else helps",
            Processes::find(state)
        );
    }
    Ok(())
}

async fn is_gone(state: &Path, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if Processes::find(state).is_empty() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Role {
    Outer,
    Init,
    Supervisor,
}

/// What a process with this command line (arguments ended by zero bytes) does for the state folder.
fn role(command: &[u8], state: &Path) -> Option<Role> {
    let arguments: Vec<&[u8]> = command.strip_suffix(b"\0")?.split(|byte| *byte == 0).collect();
    let [first, .., verb, flag, folder] = arguments[..] else { return None };
    if flag != b"--state" || folder != state.as_os_str().as_encoded_bytes() {
        return None;
    }
    let is_wrapper = [b"unshare".as_slice(), b"setsid"].iter().any(|wrapper| {
        first.strip_suffix(*wrapper).is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    });
    match verb {
        _ if verb == INIT.as_bytes() => Some(if is_wrapper { Role::Outer } else { Role::Init }),
        _ if verb == SUPERVISOR.as_bytes() => Some(Role::Supervisor),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(command: &str) -> Option<Role> {
        role(format!("{}\0", command.replace(' ', "\0")).as_bytes(), Path::new("/s/dev"))
    }

    #[test]
    fn recognizes_our_own() {
        assert_eq!(role_of("unshare --pid -- /x/xtask node-init --state /s/dev"), Some(Role::Outer));
        assert_eq!(role_of("/usr/bin/unshare --pid -- /x/xtask node-init --state /s/dev"), Some(Role::Outer));
        assert_eq!(role_of("/x/xtask node-init --state /s/dev"), Some(Role::Init));
        assert_eq!(role_of("/x/xtask supervise --state /s/dev"), Some(Role::Supervisor));
    }

    #[test]
    fn leaves_others_alone() {
        for command in [
            "/x/xtask supervise --state /s/dev2",
            "/x/xtask supervise --state /s",
            "/x/xtask down --state /s/dev",
            "vim /s/dev",
            "/x/xtask supervise --state /s/dev --more",
            "--state /s/dev",
            "x",
        ] {
            assert_eq!(role_of(command), None, "{command}");
        }
        assert_eq!(role(b"", Path::new("/s/dev")), None);
    }

    #[tokio::test]
    async fn ends_what_it_finds() {
        let state = tempfile::tempdir().unwrap();
        // A shell that never ends by itself, with the arguments of a supervisor.
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "read forever", SUPERVISOR, "--state"])
            .arg(state.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        // The kernel lets `spawn` return a moment before the new program's arguments can be read.
        testkit::eventually(testkit::DEADLINE, "the shell to show its arguments", async || {
            let found = Processes::find(state.path()).supervisor;
            anyhow::ensure!(found == [pid], "found {found:?}");
            Ok(())
        })
        .await
        .unwrap();
        let (ended, status) = tokio::join!(end(state.path()), child.wait());
        ended.unwrap();
        assert!(!status.unwrap().success());
        assert!(Processes::find(state.path()).is_empty());
    }
}
