//! Subcommands: for init containers, where a cluster needs them, and for sidecars that have to end or to collect results.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::places::Places;
use crate::sys::{self, Errno, File};
use crate::{base64, collect, files, log};

/// The largest script in base64: no object of the API is larger.
const MAX: usize = 4 << 20;

/// May be run by every user, and read by none.
const MODE: u32 = 0o311;

/// Runs the subcommand that the arguments begin with, and returns its exit code; `None` if they are those of a step.
pub(crate) fn run(arguments: &[Vec<u8>]) -> Option<i32> {
    let arguments: Vec<String> = arguments.iter().map(|argument| crate::text(argument)).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut places = Places::default();
    if let ["-root", root, ..] = words.as_slice() {
        (*root).clone_into(&mut places.root);
        words.drain(..2);
    }
    let done = match words.as_slice() {
        ["nop", ..] => Ok(()),
        ["init", from, to, steps @ ..] => copy(from, to).and_then(|()| make_links(&places, steps)),
        ["cp", from, to] => copy(from, to),
        ["decode-script", file] => decode(file),
        ["step-init", steps @ ..] => make_links(&places, steps),
        ["sidecarlogresults", rest @ ..] => collect::run(rest, &places),
        [name @ ("init" | "cp" | "decode-script"), ..] => Err(format!("{name}: wrong number of arguments")),
        _ => return None,
    };
    Some(match done {
        Ok(()) => 0,
        Err(fault) => {
            log!("{fault}");
            1
        }
    })
}

/// Copies the program. One that is there from an earlier start of the container is replaced.
fn copy(from: &str, to: &str) -> Result<(), String> {
    let fault = |error: Errno| format!("cannot copy {from} to {to}: {error}");
    let source = File::read_only(from.as_bytes()).map_err(fault)?;
    match sys::remove_file(to.as_bytes()) {
        Ok(()) | Err(Errno::NOT_FOUND) => {}
        Err(error) => return Err(fault(error)),
    }
    let copy = File::create(to.as_bytes(), MODE).map_err(fault)?;
    let mut part = [0; 16 * 1024];
    loop {
        match source.read(&mut part).map_err(fault)? {
            0 => break,
            count => copy.write_all(&part[..count]).map_err(fault)?,
        }
    }
    copy.set_mode(MODE).map_err(fault)
}

/// Replaces a script in base64 by its plain text.
fn decode(file: &str) -> Result<(), String> {
    let text = files::read(file, MAX).map_err(|error| format!("cannot read {file}: {error}"))?;
    let script = base64::decode(&text)
        .filter(|_| text.len() < MAX)
        .ok_or_else(|| format!("{file} is no base64 of at most 4 MiB"))?;
    files::write(file, &script, 0o755).map_err(|error| format!("cannot write {file}: {error}"))
}

/// Makes the folder of each step known under its name and its number. `names` are those of the containers.
pub(crate) fn make_links(places: &Places, names: &[impl AsRef<str>]) -> Result<(), String> {
    for (index, name) in names.iter().enumerate() {
        let target = format!("{}/status", places.run(index));
        for link in [places.step(name.as_ref()), places.step(&index.to_string())] {
            match sys::make_link(target.as_bytes(), link.as_bytes()) {
                Ok(()) | Err(Errno::EXISTS) => {}
                Err(error) => return Err(format!("cannot link {link} to {target}: {error}")),
            }
        }
    }
    Ok(())
}
