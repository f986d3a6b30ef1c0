//! Results of a task: a file each, which the next task's parameters are made of.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// All results of a step travel in one message of this size (Tekton's termination message).
pub const MESSAGE_LIMIT: usize = 4096;
/// What a result takes in the message beside its name and value: quotes, keys, its type.
const FRAME: usize = 40;

/// Writes a result. Without a line break at its end, which would become part of image references.
///
/// Fails, saying so, if it does not fit beside the results that the folder has already: Tekton would lose all of them.
pub fn write(path: &Path, value: &str) -> anyhow::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let size = FRAME + name.len() + encoded_len(value);
    let others = others(path).with_context(|| format!("read the results beside {name}"))?;
    ensure!(
        size + others <= MESSAGE_LIMIT,
        "result {name} is too large: it takes {size} bytes, {others} are taken by other results of this task, and Tekton \
         carries {MESSAGE_LIMIT} in all"
    );
    std::fs::write(path, value).with_context(|| format!("write result {name} to {}", path.display()))
}

/// Bytes that are left for a further result of this name.
pub fn room(path: &Path) -> usize {
    let name = path.file_name().map_or(0, |name| name.as_bytes().len());
    MESSAGE_LIMIT.saturating_sub(others(path).unwrap_or_default() + FRAME + name)
}

/// Bytes that the other results of the folder take.
fn others(path: &Path) -> std::io::Result<usize> {
    let mut taken = 0;
    for entry in path.parent().unwrap_or(Path::new(".")).read_dir()? {
        let entry = entry?;
        if Some(entry.file_name().as_os_str()) != path.file_name() && entry.file_type()?.is_file() {
            let size = usize::try_from(entry.metadata()?.len()).unwrap_or(usize::MAX);
            // What is not of a size for results is not read to be measured.
            let value = if size > MESSAGE_LIMIT { size } else { encoded_len(&read(&entry.path())?) };
            taken += FRAME + entry.file_name().len() + value;
        }
    }
    Ok(taken)
}

fn read(path: &Path) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Length as a JSON string, without quotes.
fn encoded_len(value: &str) -> usize {
    value
        .chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_ends_without_a_line_break_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("IMAGE_URL");
        write(&path, "registry.example/app:v1").unwrap();
        write(&path, "registry.example/app:v2").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "registry.example/app:v2");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        write(&path("A"), &"a".repeat(3000)).unwrap();
        let error = write(&path("B"), &"b".repeat(2000)).unwrap_err().to_string();
        for part in ["result B is too large", "2041", "3041", "4096"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!path("B").exists());
        write(&path("B"), &"b".repeat(room(&path("B")))).unwrap();
        assert_eq!(room(&path("C")), 0);
        // Quotes take two bytes on the way.
        write(&path("A"), "").unwrap();
        write(&path("B"), "").unwrap();
        write(&path("A"), &"\"".repeat(2100)).unwrap_err();
        write(&path("A"), &"\"".repeat(1900)).unwrap();
    }
}
