//! The cluster's control groups: one of its name in each hierarchy, with `node` below for its own processes
//! and `kubepods` for containers. When they can be removed, nothing of the cluster runs any more.
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

const ROOT: &str = "/sys/fs/cgroup";
/// Below the cluster's group.
const NODE: &str = "node";
const PROCESSES: &str = "cgroup.procs";
/// Given to the kernel to let go of the processes of a cluster that was ended.
const DEADLINE: Duration = Duration::from_secs(30);
/// After this time, processes that are still in the groups are killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the groups.
pub fn create(group: &str) -> anyhow::Result<()> {
    create_in(Path::new(ROOT), group)
}

/// Moves this process into the groups, and thereby all that it will start.
pub fn enter(group: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies(Path::new(ROOT))? {
        let path = hierarchy.join(group).join(NODE).join(PROCESSES);
        fs::write(&path, "0").with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Whether any of the groups exists.
pub fn exist(group: &str) -> bool {
    hierarchies(Path::new(ROOT)).is_ok_and(|all| all.iter().any(|hierarchy| hierarchy.join(group).exists()))
}

/// Numbers of all processes in the groups.
pub fn members(group: &str) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies(Path::new(ROOT))? {
        collect(&hierarchy.join(group), &mut found);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(group: &Path, found: &mut Vec<i32>) {
    found.extend(processes(group));
    for entry in fs::read_dir(group).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
}

/// Removes the groups, killing what still runs in them after a moment.
pub async fn remove(group: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let mut left = Vec::new();
        for hierarchy in hierarchies(Path::new(ROOT))? {
            remove_tree(&hierarchy.join(group), &mut left);
        }
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            bail!(
                "control groups cannot be removed: {}; processes in them do not end: look at dmesg, and restart \
                 the machine if nothing else helps",
                left.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            );
        }
        if began.elapsed() > PATIENCE {
            for pid in left.iter().flat_map(|path| processes(path)) {
                // It may have ended meanwhile.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Roots of the hierarchies: with version 2 alone there is one; version 1 has one for each controller.
fn hierarchies(root: &Path) -> io::Result<Vec<PathBuf>> {
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // Links are second names, as `cpu` for `cpu,cpuacct`.
        if entry.file_type()?.is_dir() && entry.path().join(PROCESSES).exists() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn create_in(root: &Path, group: &str) -> anyhow::Result<()> {
    let all = hierarchies(root).with_context(|| format!("read {}", root.display()))?;
    if all.is_empty() {
        bail!(
            "no control groups are mounted below {}: mount them, as every init system does",
            root.display()
        );
    }
    for hierarchy in all {
        let top = hierarchy.join(group);
        fs::create_dir_all(&top).with_context(|| format!("make {}", top.display()))?;
        delegate(&hierarchy);
        delegate(&top);
        inherit_cpus(&hierarchy, &top);
        let node = top.join(NODE);
        fs::create_dir_all(&node).with_context(|| format!("make {}", node.display()))?;
        inherit_cpus(&top, &node);
    }
    Ok(())
}

/// Version 2: lets groups below have every controller. One that cannot be had is missed by the kubelet, which
/// then names it.
fn delegate(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Version 1: a group of `cpuset` takes no process before it is told its processors and memory nodes.
fn inherit_cpus(parent: &Path, group: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let is_unset = fs::read_to_string(group.join(file)).is_ok_and(|value| value.trim().is_empty());
        if is_unset && let Ok(value) = fs::read(parent.join(file)) {
            let _ = fs::write(group.join(file), value);
        }
    }
}

/// Removes a group and those below it; what could not be removed is added to `left`.
fn remove_tree(group: &Path, left: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path(), left);
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => left.push(group.to_owned()),
        _ => {}
    }
}

fn processes(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join(PROCESSES)).unwrap_or_default();
    // Zero stands for a process that cannot be seen from here, and for kill() means "my own group".
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like hierarchies of version 1.
    fn version_1() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for hierarchy in ["pids", "cpuset"] {
            fs::create_dir(root.path().join(hierarchy)).unwrap();
            fs::write(root.path().join(hierarchy).join(PROCESSES), "1\n").unwrap();
        }
        std::os::unix::fs::symlink("cpuset", root.path().join("alias")).unwrap();
        fs::create_dir(root.path().join("no-hierarchy")).unwrap();
        root
    }

    #[test]
    fn makes_a_group_in_each_hierarchy_and_removes_it() {
        let root = version_1();
        create_in(root.path(), "konflux-dev").unwrap();
        for hierarchy in ["pids", "cpuset"] {
            assert!(root.path().join(hierarchy).join("konflux-dev/node").is_dir());
        }
        assert!(!root.path().join("no-hierarchy/konflux-dev").exists());
        let mut left = Vec::new();
        remove_tree(&root.path().join("pids/konflux-dev"), &mut left);
        assert!(left.is_empty(), "{left:?}");
        assert!(!root.path().join("pids/konflux-dev").exists());
        assert!(root.path().join("cpuset/konflux-dev").exists());
    }

    #[test]
    fn version_2_is_one_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
        assert_eq!(hierarchies(root.path()).unwrap(), [root.path()]);
    }

    #[test]
    fn says_when_there_are_none() {
        let root = tempfile::tempdir().unwrap();
        let error = create_in(root.path(), "konflux-dev").unwrap_err().to_string();
        assert!(error.contains("no control groups"), "{error}");
    }

    #[test]
    fn never_kills_all() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join(PROCESSES), "0\n1\n42\n-1\n").unwrap();
        assert_eq!(processes(group.path()), [42]);
    }
}
