//! `.ssh`: keys, which key is for which host, and the hosts' own keys (ssh_config(5)).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Made, Secrets};
use crate::flags::{Credential, Kind};

const PORT: &str = "22";

pub(super) fn make(
    credentials: &[Credential],
    folder: &str,
    secrets: Secrets<'_>,
    faults: &mut Vec<String>,
) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    let mut known_hosts = Vec::new();
    // In the order in which they come: the first entry of a host counts.
    let mut hosts: Vec<(&str, Vec<String>)> = Vec::new();
    for Credential { secret, host, .. } in credentials.iter().filter(|it| it.kind == Kind::SshGit) {
        let name = format!(".ssh/id_{secret}");
        if !made.iter().any(|file| file.name == name) {
            match secrets(secret, "ssh-privatekey") {
                // SSH does not read a key whose last line has no end.
                Ok(key) => made.push(Made { name: name.clone(), content: with_line_end(key) }),
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            }
            if let Ok(hosts) = secrets(secret, "known_hosts") {
                known_hosts.extend(with_line_end(hosts));
            }
        }
        let key = format!("{folder}/{name}");
        match hosts.iter_mut().find(|(other, _)| other == host) {
            Some((_, keys)) => keys.push(key),
            None => hosts.push((host, [key].into())),
        }
    }
    if made.is_empty() {
        return made;
    }
    let mut config = String::new();
    for (host, keys) in hosts {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, port)
            }
            _ => (host, PORT),
        };
        let _ = write!(config, "Host {name}\n    HostName {name}\n    Port {port}\n");
        for key in keys {
            let _ = writeln!(config, "    IdentityFile {key}");
        }
    }
    made.push(Made { name: ".ssh/config".into(), content: config.into_bytes() });
    if !known_hosts.is_empty() {
        made.push(Made { name: ".ssh/known_hosts".into(), content: known_hosts });
    }
    made
}

fn with_line_end(mut content: Vec<u8>) -> Vec<u8> {
    if content.last().is_some_and(|last| *last != b'\n') {
        content.push(b'\n');
    }
    content
}

#[cfg(test)]
mod tests {
    use super::super::testing::made;
    use super::*;

    #[test]
    fn a_host_can_have_several_keys() {
        let credentials = [
            (Kind::SshGit, "a", "github.com"),
            (Kind::SshGit, "a", "git.example:2222"),
            (Kind::SshGit, "b", "github.com"),
            (Kind::SshGit, "c", "nowhere"),
        ];
        let values = [
            ("a", "ssh-privatekey", "KEY A"),
            ("a", "known_hosts", "github.com ssh-ed25519 AAAA"),
            ("b", "ssh-privatekey", "KEY B\n"),
        ];
        let (files, faults) = made(&credentials, &values);
        let config = "Host github.com\n    HostName github.com\n    Port 22\n    \
            IdentityFile /tekton/creds/.ssh/id_a\n    IdentityFile /tekton/creds/.ssh/id_b\n\
            Host git.example\n    HostName git.example\n    Port 2222\n    IdentityFile /tekton/creds/.ssh/id_a\n";
        let expected = [
            (".ssh/id_a", "KEY A\n"),
            (".ssh/id_b", "KEY B\n"),
            (".ssh/config", config),
            (".ssh/known_hosts", "github.com ssh-ed25519 AAAA\n"),
        ];
        assert_eq!(files, expected.map(|(name, content)| (name.into(), content.into())));
        assert_eq!(faults, ["Secret c has no ssh-privatekey"]);
    }
}
