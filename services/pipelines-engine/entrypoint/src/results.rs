//! Results of a step: files that it made or changed.
//!
//! Steps of a Task share one folder of results. If each step sent all it finds there, results of the first would be sent as
//! often as there are steps, and the kubelet takes 12 KiB of a pod in all.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::files;
use crate::flags::Flags;
use crate::message::{self, Entry, Kind};
use crate::sys::{self, Stat};

/// A file that may become a result.
pub(crate) struct Candidate {
    name: String,
    kind: Kind,
    file: String,
    before: Option<Seen>,
}

/// State of a file. The content, too: a clock that ticks every four milliseconds may not tell two writes apart.
#[derive(PartialEq, Eq)]
struct Seen {
    stat: Stat,
    /// As much as fits in a message, and one byte more.
    content: Vec<u8>,
}

/// A result, with the size of its file in bytes: the entry has its first part only if it is too large for any message.
pub(crate) struct Made {
    pub entry: Entry,
    pub size: u64,
}

/// What is there before the step's command begins.
pub(crate) fn before(flags: &Flags) -> Vec<Candidate> {
    if flags.results_from_logs {
        return Vec::new();
    }
    let of_step = flags.metadata_folder.as_ref().map(|folder| format!("{folder}/results"));
    let all = [
        (Kind::TaskResult, &flags.results, Some(flags.places.results())),
        (Kind::StepResult, &flags.step_results, of_step),
    ];
    let mut candidates = Vec::new();
    for (kind, names, folder) in all {
        let Some(folder) = folder else { continue };
        for name in names {
            let file = format!("{folder}/{name}");
            candidates.push(Candidate { name: name.to_owned(), kind, before: see(&file), file });
        }
    }
    candidates
}

/// What the command made or changed.
pub(crate) fn made(candidates: &[Candidate]) -> Vec<Made> {
    let of_one = |candidate: &Candidate| {
        let seen = see(&candidate.file)?;
        if candidate.before.as_ref() == Some(&seen) {
            return None;
        }
        let (key, value) = (candidate.name.clone(), crate::text(&seen.content));
        Some(Made { entry: Entry { key, value, kind: candidate.kind }, size: seen.stat.size })
    };
    candidates.iter().filter_map(of_one).collect()
}

/// `None` for what is no file that can be read: no result.
fn see(file: &str) -> Option<Seen> {
    let stat = sys::stat(file.as_bytes()).ok()?;
    Some(Seen { stat, content: files::read(file, message::MAX + 1).ok()? })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_was_made_or_changed_counts() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tekton/results");
        fs::create_dir_all(&folder).unwrap();
        for name in ["same", "changed", "replaced", "removed"] {
            fs::write(folder.join(name), "1").unwrap();
        }
        let names = ["same", "changed", "replaced", "removed", "made", "missing", "folder"];
        let mut flags = Flags { results: names.map(str::to_owned).to_vec(), ..Flags::default() };
        root.path().to_str().unwrap().clone_into(&mut flags.places.root);
        let candidates = before(&flags);
        fs::write(folder.join("changed"), "2").unwrap();
        fs::write(folder.join("new"), "1").unwrap();
        fs::rename(folder.join("new"), folder.join("replaced")).unwrap();
        fs::remove_file(folder.join("removed")).unwrap();
        fs::write(folder.join("made"), "a\u{0}\n").unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        let made: Vec<_> =
            made(&candidates).into_iter().map(|made| (made.entry.key, made.entry.value)).collect();
        let expected = [("changed", "2"), ("replaced", "1"), ("made", "a\u{0}\n")];
        assert_eq!(made, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_large_one_tells_its_size() {
        let root = tempfile::tempdir().unwrap();
        let mut flags = Flags {
            step_results: vec!["r".into()],
            metadata_folder: root.path().to_str().map(str::to_owned),
            ..Flags::default()
        };
        let candidates = before(&flags);
        fs::create_dir(root.path().join("results")).unwrap();
        fs::write(root.path().join("results/r"), vec![b'x'; 100_000]).unwrap();
        let made = made(&candidates);
        assert_eq!((made[0].size, made[0].entry.value.len()), (100_000, message::MAX + 1));
        assert_eq!(made[0].entry.kind, Kind::StepResult);
        flags.results_from_logs = true;
        assert_eq!(before(&flags).len(), 0);
    }
}
