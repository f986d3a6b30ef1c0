//! Whole files and folders.

use alloc::vec::Vec;

use crate::sys::{self, Errno, File, Result};

/// The first `limit` bytes of a regular file.
pub(crate) fn read(name: &str, limit: usize) -> Result<Vec<u8>> {
    let file = File::read_only(name.as_bytes())?;
    if !file.stat()?.is_regular {
        return Err(Errno::INVALID);
    }
    let mut content = Vec::new();
    let mut part = [0; 4096];
    while content.len() < limit {
        let room = part.len().min(limit - content.len());
        match file.read(&mut part[..room])? {
            0 => break,
            count => content.extend_from_slice(&part[..count]),
        }
    }
    Ok(content)
}

/// Writes a whole file. `mode` is for a new one.
pub(crate) fn write(name: &str, content: &[u8], mode: u32) -> Result<()> {
    File::create(name.as_bytes(), mode)?.write_all(content)
}

/// Makes a folder and those above it, as far as they are not there.
pub(crate) fn make_folders(name: &str, mode: u32) -> Result<()> {
    let ends = name.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([name.len()]);
    let mut last = Ok(());
    for end in ends {
        // Folders above may be of a read-only file system: only the last one counts.
        last = match sys::make_folder(&name.as_bytes()[..end], mode) {
            Err(Errno::EXISTS) => Ok(()),
            other => other,
        };
    }
    if last.is_err() && sys::stat(name.as_bytes()).is_ok_and(|stat| !stat.is_regular) {
        return Ok(());
    }
    last
}

/// The folder that a file is in.
pub(crate) fn folder_of(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => ".",
    }
}
