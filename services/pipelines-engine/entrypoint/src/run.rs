//! The step's own process: started, fed with signals, its output copied, ended in time.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::files;
use crate::places::Places;
use crate::sys::{self, Ended, Errno, File, Process, Program, Result, Signal, Signals, Watch};
use crate::wait;

/// Where programs are looked for if the environment does not say.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most that is copied of what is left in a pipe, in reads, when the process has ended: another one that it left behind may
/// go on writing.
const LAST_READS: usize = 64;

/// What to run.
pub(crate) struct Command<'a> {
    /// Program and arguments.
    pub words: Vec<Vec<u8>>,
    /// `NAME=value`
    pub environment: Vec<Vec<u8>>,
    /// Nanoseconds.
    pub timeout: Option<i64>,
    /// Files that get a copy of the output.
    pub stdout: Option<&'a str>,
    pub stderr: Option<&'a str>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Of a process that a signal ended: 128 and the signal's number, as in shells.
    Exited(i32),
    TimedOut,
    Cancelled,
}

/// Runs a command to its end; an error if it cannot be started.
pub(crate) fn run(
    command: Command<'_>,
    places: &Places,
    signals: &Signals,
) -> core::result::Result<End, String> {
    let name = command.words.first().map(|name| crate::text(name)).unwrap_or_default();
    let files = candidates(&command.words, &command.environment);
    let arguments = strings(command.words)?;
    let environment = strings(command.environment)?;
    let mut copies = Copies::open(command.stdout, command.stderr)?;
    // Only where the folder is mounted: a node has few of these to give.
    let watch = sys::stat(places.downward().as_bytes()).ok().map(|_| wait::watch(&[&places.downward()]).ok());
    let program = Program {
        files: &files,
        arguments: &arguments,
        environment: &environment,
        stdout: copies.writer(0),
        stderr: copies.writer(1),
    };
    let deadline = command.timeout.map(|timeout| sys::ticks().saturating_add(timeout));
    let process = sys::start(&program, signals).map_err(|error| match error {
        Errno::NOT_FOUND => format!("cannot start {name:?}: no such program in the image"),
        other => format!("cannot start {name:?}: {other}"),
    })?;
    copies.started();
    let mut child = Child { process, deadline, stopped: None };
    let ended = loop {
        let can_be_cancelled = watch.is_some() && child.stopped.is_none();
        let limit = child.time_left(can_be_cancelled);
        let [_, out, err, _] = sys::poll(
            [
                Some(signals.file()),
                copies.reader(0),
                copies.reader(1),
                watch.as_ref().and_then(Option::as_ref).map(Watch::file),
            ],
            limit,
        );
        for (copy, is_ready) in copies.all.iter_mut().zip([out, err]) {
            if is_ready {
                copy.copy();
            }
        }
        if let Some(ended) = child.signals(signals) {
            break ended;
        }
        if let Some(Some(watch)) = &watch {
            watch.clear();
        }
        if can_be_cancelled && wait::is_cancelled(places) {
            child.stop(End::Cancelled);
        } else if child.deadline.is_some_and(|deadline| deadline <= sys::ticks()) {
            child.stop(End::TimedOut);
        }
    };
    copies.finish();
    Ok(child.stopped.unwrap_or(match ended {
        Ended::Exited(code) => End::Exited(code),
        Ended::Killed(signal) => End::Exited(128 + signal.0),
    }))
}

struct Child {
    process: Process,
    deadline: Option<i64>,
    /// It was killed, because of this.
    stopped: Option<End>,
}

impl Child {
    /// How long to wait at most for anything to happen.
    fn time_left(&self, can_be_cancelled: bool) -> i64 {
        let until_deadline = self.deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(sys::ticks()));
        if can_be_cancelled { until_deadline.min(wait::LOOK) } else { until_deadline }
    }

    /// Kills the process and all of its group.
    fn stop(&mut self, why: End) {
        self.process.signal_group(Signal::KILL);
        self.stopped = Some(why);
        self.deadline = None;
    }

    /// Hands signals on. Returns how the process ended, if it has.
    fn signals(&self, signals: &Signals) -> Option<Ended> {
        let mut ended = None;
        while let Some(signal) = signals.next() {
            if signal != Signal::CHILD {
                self.process.signal_group(signal);
                continue;
            }
            // One signal may stand for several children.
            while let Some((process, how)) = sys::reap() {
                if process == self.process {
                    ended = Some(how);
                }
            }
        }
        ended
    }
}

/// The files that a program's name may mean.
fn candidates(words: &[Vec<u8>], environment: &[Vec<u8>]) -> Vec<CString> {
    let name = words.first().map_or(b"".as_slice(), Vec::as_slice);
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix(b"PATH=")).unwrap_or(PATH);
    path.split(|byte| *byte == b':')
        .filter(|folder| !folder.is_empty() && !name.is_empty())
        .filter_map(|folder| CString::new([folder, name].join(&b'/')).ok())
        .collect()
}

fn strings(texts: Vec<Vec<u8>>) -> core::result::Result<Vec<CString>, String> {
    texts
        .into_iter()
        .map(|text| CString::new(text).map_err(|_| "a zero byte in an argument or a variable".into()))
        .collect()
}

/// Copies of standard output and standard error.
struct Copies {
    all: [Copy; 2],
}

/// One of them; nothing of it is there if no copy is asked for.
#[derive(Default)]
struct Copy {
    reader: Option<File>,
    /// The child's end, until it has started.
    writer: Option<File>,
    to: Option<(core::mem::ManuallyDrop<File>, alloc::rc::Rc<File>)>,
}

impl Copies {
    fn open(stdout: Option<&str>, stderr: Option<&str>) -> core::result::Result<Self, String> {
        let open = |path: &str| {
            let _ = files::make_folders(files::folder_of(path), 0o777);
            File::create(path.as_bytes(), 0o666)
                .map(alloc::rc::Rc::new)
                .map_err(|error| format!("cannot write output to {path}: {error}"))
        };
        let out = stdout.map(open).transpose()?;
        // Both in one file: opened once, so that one does not write over the other.
        let err = match stderr {
            Some(path) if stdout == Some(path) => out.clone(),
            other => other.map(open).transpose()?,
        };
        let copy = |file: Option<alloc::rc::Rc<File>>, own: core::mem::ManuallyDrop<File>| {
            let Some(file) = file else { return Ok(Copy::default()) };
            let (reader, writer) = sys::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
            Ok::<_, String>(Copy { reader: Some(reader), writer: Some(writer), to: Some((own, file)) })
        };
        Ok(Self { all: [copy(out, File::STDOUT)?, copy(err, File::STDERR)?] })
    }

    fn reader(&self, index: usize) -> Option<&File> {
        self.all[index].reader.as_ref()
    }

    fn writer(&self, index: usize) -> Option<&File> {
        self.all[index].writer.as_ref()
    }

    /// The child has its ends of the pipes.
    fn started(&mut self) {
        for copy in &mut self.all {
            copy.writer = None;
        }
    }

    /// Copies what the ended process has left. Does not wait for others that hold the pipe.
    fn finish(mut self) {
        for copy in &mut self.all {
            for _ in 0..LAST_READS {
                if !copy.copy() {
                    break;
                }
            }
        }
    }
}

impl Copy {
    /// Copies once; false if there was nothing.
    fn copy(&mut self) -> bool {
        let (Some(reader), Some((own, file))) = (&self.reader, &self.to) else { return false };
        let mut part = [0; 16 * 1024];
        let read: Result<usize> = reader.read(&mut part);
        match read {
            Ok(0) => self.reader = None,
            Ok(count) => {
                // A full disk must not end a step whose log is still read, nor a log that nobody reads its file.
                let _ = own.write_all(&part[..count]);
                let _ = file.write_all(&part[..count]);
                return true;
            }
            Err(_) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::path("sh", &["PATH=/a::/b"], &["/a/sh", "/b/sh"])]
    #[case::no_path("sh", &[], &["/usr/local/sbin/sh", "/usr/local/bin/sh", "/usr/sbin/sh", "/usr/bin/sh", "/sbin/sh", "/bin/sh"])]
    #[case::absolute("/x/sh", &["PATH=/a"], &["/x/sh"])]
    #[case::relative("./sh", &["PATH=/a"], &["./sh"])]
    #[case::empty("", &["PATH=/a"], &[])]
    fn looks_for_programs(#[case] name: &str, #[case] environment: &[&str], #[case] expected: &[&str]) {
        let environment: Vec<_> = environment.iter().map(|variable| variable.as_bytes().to_vec()).collect();
        let found = candidates(&[name.as_bytes().to_vec()], &environment);
        let found: Vec<_> = found.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
}
