//! Folders of a pod, and steps in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything in these tests takes. Only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("ENTRYPOINT").map_or_else(|| env!("CARGO_BIN_EXE_entrypoint").into(), PathBuf::from)
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "in vain waited until {what}");
        std::thread::yield_now();
    }
}

/// A pod with as many steps as asked for, named `a`, `b`, ….
pub(crate) struct Pod {
    folder: TempDir,
    steps: usize,
}

impl Pod {
    pub(crate) fn new(steps: usize) -> Self {
        let pod = Self { folder: tempfile::tempdir().unwrap(), steps };
        for index in 0..steps {
            fs::create_dir_all(pod.path(&format!("tekton/run/{index}"))).unwrap();
        }
        for folder in ["tekton/steps", "tekton/results", "tekton/creds", "workspace", "home"] {
            fs::create_dir_all(pod.path(folder)).unwrap();
        }
        pod
    }

    /// A place in the pod; `name` has no slash in front.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Files of a folder, sorted.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The step at `index` with the flags that the engine always gives, and these.
    pub(crate) fn step(&self, index: usize, flags: &[&str]) -> Step {
        let root = self.root();
        let mut command = Command::new(program());
        command.args(["-root", root]);
        if index > 0 {
            command.args(["-wait_file", &format!("{root}/tekton/run/{}/out", index - 1)]);
        }
        let termination = self.path(&format!("termination-{index}"));
        command.args(["-post_file", &format!("{root}/tekton/run/{index}/out")]);
        command.arg("-termination_path").arg(&termination);
        command.args(["-step_metadata_dir", &format!("{root}/tekton/run/{index}/status")]);
        if index == 0 {
            let names: Vec<_> =
                "abcdefghijkl".chars().take(self.steps).map(|name| format!("step-{name}")).collect();
            command.args(["-step_links", &names.join(",")]);
        }
        command.args(flags).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Step { command, termination }
    }

    /// Runs a shell script in the step at `index` to its end.
    pub(crate) fn script(&self, index: usize, flags: &[&str], script: &str) -> Ended {
        let flags = [flags, &["-entrypoint", "sh", "--", "-c", script]].concat();
        self.step(index, &flags).run()
    }
}

pub(crate) struct Step {
    pub(crate) command: Command,
    termination: PathBuf,
}

impl Step {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }

    pub(crate) fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap();
        Running { child: Some(child), termination: self.termination }
    }
}

/// A step that has not ended. Killed if a test fails.
pub(crate) struct Running {
    child: Option<Child>,
    termination: PathBuf,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().unwrap().id().cast_signed())
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    pub(crate) fn end(mut self) -> Ended {
        let child = self.child.take().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let (sender, receiver) = std::sync::mpsc::channel();
        // Output is read meanwhile, or the step would wait for a reader.
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            kill(pid, Signal::SIGKILL).unwrap();
            panic!("the step did not end");
        });
        Ended { output: output.unwrap(), termination: self.termination.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A step that has ended.
pub(crate) struct Ended {
    output: Output,
    termination: PathBuf,
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Entries of the termination message: key, value, type.
    pub(crate) fn entries(&self) -> Vec<(String, String, i64)> {
        let entries: Vec<Value> = serde_json::from_slice(&fs::read(&self.termination).unwrap()).unwrap();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        entries
            .iter()
            .map(|entry| (text(entry, "key"), text(entry, "value"), entry["type"].as_i64().unwrap()))
            .collect()
    }

    /// As [`entries`](Self::entries), without the time of the start, which has to be there.
    pub(crate) fn notes(&self) -> Vec<(String, String, i64)> {
        let mut entries = self.entries();
        let (key, time, kind) = entries.remove(0);
        assert_eq!((key.as_str(), kind), ("StartedAt", 3));
        assert!(time.starts_with("20") && time.len() == "2024-01-01T00:00:00.000Z".len(), "{time}");
        entries
    }
}

/// As [`Ended::notes`] gives them.
pub(crate) fn entry(key: &str, value: &str, kind: i64) -> (String, String, i64) {
    (key.to_owned(), value.to_owned(), kind)
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
