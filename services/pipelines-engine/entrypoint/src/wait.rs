//! Waiting for files that other containers and the kubelet write.

use alloc::format;

use crate::files;
use crate::places::Places;
use crate::sys::{self, Errno, Result, Signal, Signals, Watch};

/// How often to look where nothing tells of changes, in nanoseconds: file systems without inotify, or too many who use it
/// already.
pub(crate) const LOOK: i64 = 1_000_000_000;

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    /// The step that was waited for has failed.
    Failed,
    Cancelled,
    /// The pod is being stopped.
    Stopped(Signal),
}

/// Waits until `file` is there, and not empty if it needs content.
pub(crate) fn wait(file: &str, needs_content: bool, places: &Places, signals: &Signals) -> Waited {
    let failed = format!("{file}.err");
    let watch = watch(&[files::folder_of(file), &places.downward()]).ok();
    loop {
        if is_there(file, needs_content) {
            return Waited::Ready;
        }
        if is_there(&failed, false) {
            return Waited::Failed;
        }
        if is_cancelled(places) {
            return Waited::Cancelled;
        }
        sys::poll([Some(signals.file()), watch.as_ref().map(Watch::file)], LOOK);
        while let Some(signal) = signals.next() {
            if let Signal::TERMINATE | Signal::INTERRUPT | Signal::HANG_UP | Signal::QUIT = signal {
                return Waited::Stopped(signal);
            }
        }
        if let Some(watch) = &watch {
            watch.clear();
        }
    }
}

/// Whether the engine wants the step to end. The file is always there where it is mounted, and filled to cancel.
pub(crate) fn is_cancelled(places: &Places) -> bool {
    is_there(&places.cancel(), true)
}

/// Tells of changes in those of the folders that are there.
pub(crate) fn watch(folders: &[&str]) -> Result<Watch> {
    let watch = Watch::new()?;
    for folder in folders {
        match watch.add(folder.as_bytes()) {
            Ok(()) | Err(Errno::NOT_FOUND) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(watch)
}

fn is_there(file: &str, needs_content: bool) -> bool {
    sys::stat(file.as_bytes()).is_ok_and(|stat| !needs_content || stat.size > 0)
}
