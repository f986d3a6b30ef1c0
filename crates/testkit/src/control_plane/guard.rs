//! Programs that do not outlive us, however we die, and a folder that goes with them.
//!
//! ```text
//! we ──stdin──▶ guard (sh) ──▶ program        end of file on stdin: the guard kills the program
//!  └──stdin──▶ janitor (sh) ◀──stdout── guard  end of file: nobody is left, the folder is deleted
//! ```
//! The kernel closes our ends of these pipes also when we are killed with SIGKILL, which no handler or `Drop`
//! would notice. A parent-death signal would not do: it comes when the thread that started the child ends, and
//! threads of tests end early.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{PipeWriter, pipe};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Runs `$2…` with its output in the file `$1` until it ends or our standard input does.
const GUARD: &str = r#"
log=$1
shift
exec 3<&0
"$@" </dev/null >"$log" 2>&1 3<&- &
program=$!
{ read -r _ <&3; kill -KILL "$program"; } &
watcher=$!
wait "$program"
status=$?
kill "$watcher"
exit "$status"
"#;

/// Deletes the folder `$1` when everybody who holds the other end of our standard input is gone.
const JANITOR: &str = r#"read -r _; rm -rf -- "$1""#;

/// Marks a folder as in use: locked as long as its owner lives, whatever its process id.
const OWNER: &str = "owner.lock";
const PREFIX: &str = "run-";

/// The folder of one run, private to this user. Deleted when it is dropped or its owner dies.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _owner: Flock<File>,
    /// Held by us and by every guard. `None` only while dropping.
    occupants: Option<PipeWriter>,
    janitor: Child,
}

impl Folder {
    /// Makes a folder in `parent`, and first deletes those of runs that could not clean up after themselves
    /// (a machine that lost power, a janitor that was killed too).
    pub(crate) fn create(parent: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        // Between making a folder and locking it, it looks abandoned: one at a time.
        let lock = parent.join("lock");
        let _turn = File::create(&lock)
            .map_err(anyhow::Error::from)
            .and_then(|file| Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into()))
            .with_context(|| format!("lock {}", lock.display()))?;
        delete_abandoned(parent)?;

        let path = tempfile::Builder::new()
            .prefix(PREFIX)
            // Keys of administrators lie here.
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(|| format!("create a folder in {}", parent.display()))?
            .keep();
        let owner = File::create(path.join(OWNER))
            .map_err(anyhow::Error::from)
            .and_then(|file| {
                Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
            })
            .with_context(|| format!("lock {}", path.display()))?;
        let (reader, writer) = pipe().context("make a pipe")?;
        let janitor = shell(JANITOR, [path.as_os_str()])
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null())
            .spawn()
            .context("start /bin/sh")?;
        Ok(Self { path, _owner: owner, occupants: Some(writer), janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file here.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Starts `program` in this folder, with nothing of our environment but `PATH`, its output in `<name>.log`.
    pub(crate) fn start(
        &self,
        name: &str,
        program: &[OsString],
        arguments: &[String],
    ) -> anyhow::Result<Program> {
        let log = self.path.join(format!("{name}.log"));
        let occupants = self.occupants.as_ref().context("the folder is being deleted")?;
        let words = std::iter::once(log.as_os_str())
            .chain(program.iter().map(OsString::as_os_str))
            .chain(arguments.iter().map(OsStr::new));
        let guard = shell(GUARD, words)
            .current_dir(&self.path)
            .env("HOME", &self.path)
            // Short-lived and short of processor, not of memory: collect garbage less often.
            .env("GOGC", "400")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(occupants.try_clone().context("duplicate a pipe")?))
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Program { name: name.to_owned(), guard, log })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.occupants.take());
        // Nothing can be done about a failure here; the next run deletes what is left.
        drop(self.janitor.wait());
    }
}

/// A running program. Killed when dropped, and when we die.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    guard: Child,
    log: PathBuf,
}

impl Program {
    /// How the program ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.guard.try_wait().with_context(|| format!("ask how {} is", self.name))
    }

    /// All that it has printed.
    pub(crate) fn output(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The name and the last lines that it printed, for an error's text.
    pub(crate) fn last_words(&self) -> String {
        const LINES: usize = 25;
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        format!("the last that {} printed:\n{last}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

/// A shell in a process group of its own: a Ctrl-C in the terminal ends the tests, and the guards clean up.
fn shell<'a>(script: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg("guard").args(arguments);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.stderr(Stdio::null()).process_group(0);
    command
}

fn delete_abandoned(parent: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(parent).with_context(|| format!("read {}", parent.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_run = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_run && is_abandoned(&path) {
            // What its dying programs still write makes this fail; then a later run does it.
            drop(fs::remove_dir_all(&path));
        }
    }
    Ok(())
}

/// Whether nobody holds the lock of this folder, or it has none.
fn is_abandoned(folder: &Path) -> bool {
    match File::open(folder.join(OWNER)) {
        Ok(file) => {
            !matches!(Flock::lock(file, FlockArg::LockExclusiveNonblock), Err((_, Errno::EWOULDBLOCK)))
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn deletes_abandoned_folders_and_keeps_those_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let in_use = Folder::create(parent.path()).unwrap();
        let abandoned = parent.path().join("run-abandoned");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(OWNER), "").unwrap();
        fs::write(abandoned.join("data"), "").unwrap();
        let unrelated = parent.path().join("notes");
        fs::create_dir(&unrelated).unwrap();

        let next = Folder::create(parent.path()).unwrap();

        assert!(!abandoned.exists());
        assert!(unrelated.exists());
        assert!(in_use.path().exists());
        assert!(next.path().exists());
    }

    #[test]
    fn only_its_user_can_look_into_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn dropping_ends_programs_and_deletes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let program = folder.start("sleeper", &["/bin/sh".into()], &words(&["-c", "sleep 600"])).unwrap();
        let guard = Path::new("/proc").join(program.guard.id().to_string());
        let path = folder.path().to_owned();
        assert!(guard.exists());

        drop(program);
        assert!(!guard.exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn tells_how_a_program_ended_and_what_it_said() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let script = "echo bad flag; exit 3";
        let mut program = folder.start("failing", &["/bin/sh".into()], &words(&["-c", script])).unwrap();

        let status = end_of(&mut program);

        assert_eq!(status.code(), Some(3));
        assert_eq!(program.ended().unwrap(), Some(status));
        assert_eq!(program.last_words(), "the last that failing printed:\nbad flag");
    }

    #[test]
    fn passes_nothing_of_our_environment_but_the_path() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let mut program = folder.start("env", &["/usr/bin/env".into()], &[]).unwrap();
        assert!(end_of(&mut program).success());
        let output = program.output();
        let mut names: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.retain(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
        names.sort_unstable();
        assert_eq!(names, ["GOGC", "HOME", "PATH"]);
    }

    /// Not by `Child::wait`, which closes standard input first: the guard would kill the program.
    fn end_of(program: &mut Program) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = program.ended().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", program.name);
            std::thread::yield_now();
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }
}
