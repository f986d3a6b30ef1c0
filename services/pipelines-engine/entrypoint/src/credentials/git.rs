//! `.gitconfig` and `.git-credentials`, of user names and passwords (git-credential-store(1)).

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Made, Secrets, text};
use crate::flags::{Credential, Kind};

pub(super) fn make(credentials: &[Credential], secrets: Secrets<'_>, faults: &mut Vec<String>) -> Vec<Made> {
    let mut config = String::from("[credential]\n\thelper = store\n");
    let mut lines = String::new();
    let mut urls: Vec<(&str, &str)> = Vec::new();
    for Credential { secret, host: url, .. } in credentials.iter().filter(|it| it.kind == Kind::BasicGit) {
        if let Some((_, first)) = urls.iter().find(|(other, _)| other == url) {
            faults.push(format!("Secrets {first} and {secret} are both for {url}: {secret} is not used"));
            continue;
        }
        let user = text(secrets, secret, "username");
        match user.and_then(|user| Ok((user, text(secrets, secret, "password")?))) {
            Ok((user, password)) => {
                let _ =
                    write!(config, "[credential \"{}\"]\n\tusername = {}\n", escaped(url), escaped(&user));
                let (scheme, host) = url.split_once("://").unwrap_or(("https", url));
                let _ = writeln!(lines, "{scheme}://{}:{}@{host}", encoded(&user), encoded(&password));
                urls.push((url, secret));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if urls.is_empty() {
        return Vec::new();
    }
    vec![
        Made { name: ".gitconfig".to_owned(), content: config.into_bytes() },
        Made { name: ".git-credentials".to_owned(), content: lines.into_bytes() },
    ]
}

/// As git-config(1) takes a value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// As a URL takes a user name or a password (RFC 3986, section 2.1).
fn encoded(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::testing::made;
    use super::*;

    #[test]
    fn writes_both_files() {
        let credentials = [
            (Kind::BasicGit, "a", "https://github.com"),
            (Kind::BasicGit, "b", "https://git.example:8443/group"),
            (Kind::BasicGit, "c", "https://github.com"),
            (Kind::BasicGit, "d", "https://other"),
        ];
        let values = [
            ("a", "username", "DOMAIN\\ann"),
            ("a", "password", "p@ss/ä"),
            ("b", "username", "bob"),
            ("b", "password", "x"),
            ("d", "username", "only"),
        ];
        let (files, faults) = made(&credentials, &values);
        let config = "[credential]\n\thelper = store\n\
            [credential \"https://github.com\"]\n\tusername = DOMAIN\\\\ann\n\
            [credential \"https://git.example:8443/group\"]\n\tusername = bob\n";
        let lines = "https://DOMAIN%5Cann:p%40ss%2F%C3%A4@github.com\nhttps://bob:x@git.example:8443/group\n";
        assert_eq!(
            files,
            [(".gitconfig", config), (".git-credentials", lines)].map(|(a, b)| (a.into(), b.into()))
        );
        assert_eq!(
            faults,
            ["Secrets a and c are both for https://github.com: c is not used", "Secret d has no password"]
        );
    }
}
