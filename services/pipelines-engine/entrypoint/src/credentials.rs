//! Files that Git, SSH and registry clients read, made of Secrets (section 2.3). They are put in /tekton/creds, which is this
//! step's alone, and in the home folder, where the programs look. A step that needs none of them must not fail for them:
//! every fault is a warning.

mod docker;
mod git;
mod ssh;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::files;
use crate::flags::Credential;
use crate::log;
use crate::places::Places;
use crate::sys::{self, Errno, File};

/// The largest value of a Secret: what the API server takes of one in all.
const MAX: usize = 1 << 20;

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    /// Below the home folder.
    name: String,
    content: Vec<u8>,
}

/// Reads a value of a Secret: by its name and the key.
type Secrets<'a> = &'a dyn Fn(&str, &str) -> Result<Vec<u8>, String>;

/// Writes all files. `environment` has the home folder.
pub(crate) fn write(credentials: &[Credential], places: &Places, environment: &[Vec<u8>]) {
    if credentials.is_empty() {
        return;
    }
    let secrets = |secret: &str, key: &str| {
        files::read(&places.secret(secret, key), MAX)
            .map_err(|error| format!("Secret {secret} has no readable key {key}: {error}"))
    };
    let folder = places.credentials();
    let (made, faults) = make(credentials, &folder, &secrets);
    for fault in faults {
        log!("warning: {fault}");
    }
    let home = environment.iter().find_map(|variable| variable.strip_prefix(b"HOME=")).map(crate::text);
    let home = home.filter(|home| !home.is_empty() && *home != folder);
    for folder in [Some(folder), home].into_iter().flatten() {
        for file in &made {
            if let Err(error) = put(file, &folder) {
                log!("warning: credentials: cannot write {folder}/{}: {error}", file.name);
            }
        }
    }
}

/// Nobody else may read them: SSH refuses keys that others can. Steps may have a home folder in common and begin at any time,
/// so a file is written beside its place, under a name of the step's own, and put there when it is whole.
fn put(file: &Made, folder: &str) -> Result<(), Errno> {
    let name = format!("{folder}/{}", file.name);
    files::make_folders(files::folder_of(&name), 0o700)?;
    let beside = format!("{name}.{:x}", sys::ticks());
    let open = File::create(beside.as_bytes(), 0o600)?;
    open.set_mode(0o600)?;
    let written =
        open.write_all(&file.content).and_then(|()| sys::rename(beside.as_bytes(), name.as_bytes()));
    if written.is_err() {
        let _ = sys::remove_file(beside.as_bytes());
    }
    written
}

/// The files, and what is wrong with some of the Secrets. `folder` is where programs find them for certain.
fn make(credentials: &[Credential], folder: &str, secrets: Secrets<'_>) -> (Vec<Made>, Vec<String>) {
    let mut faults = Vec::new();
    let mut made = git::make(credentials, secrets, &mut faults);
    made.extend(ssh::make(credentials, folder, secrets, &mut faults));
    made.extend(docker::make(credentials, secrets, &mut faults));
    (made, faults)
}

/// Text of a Secret's value.
fn text(secrets: Secrets<'_>, secret: &str, key: &str) -> Result<String, String> {
    String::from_utf8(secrets(secret, key)?).map_err(|_| format!("Secret {secret}: key {key} is no UTF-8"))
}

#[cfg(test)]
mod testing {
    use super::*;
    use crate::flags::Kind;

    /// Secrets with some of these values.
    pub(super) fn made(
        credentials: &[(Kind, &str, &str)],
        values: &[(&str, &str, &str)],
    ) -> (Vec<(String, String)>, Vec<String>) {
        let secrets = |secret: &str, key: &str| {
            let found = values.iter().find(|value| (value.0, value.1) == (secret, key));
            found.map(|value| value.2.into()).ok_or_else(|| format!("Secret {secret} has no {key}"))
        };
        let credentials: Vec<_> = credentials
            .iter()
            .map(|(kind, secret, host)| Credential {
                kind: *kind,
                secret: (*secret).into(),
                host: (*host).into(),
            })
            .collect();
        let (made, faults) = make(&credentials, "/tekton/creds", &secrets);
        let made = made.into_iter().map(|file| (file.name, String::from_utf8(file.content).unwrap()));
        (made.collect(), faults)
    }
}
