//! Files made of Secrets, where programs look for them.

use std::os::unix::fs::PermissionsExt as _;

use crate::pod::Pod;

const FLAGS: [&str; 7] = [
    "-basic-docker=basic=registry.example",
    "-basic-git=basic=https://git.example",
    "-docker-config=json",
    "-docker-config=more",
    "-ssh-git=key=github.com",
    "-entrypoint",
    "true",
];

fn pod() -> Pod {
    let pod = Pod::new(1);
    for (file, value) in [
        ("basic/username", "ann"),
        ("basic/password", "p@ss"),
        ("json/.dockerconfigjson", r#"{"auths":{"other.example":{"auth":"b3RoZXI="}}}"#),
        ("more/.dockerconfigjson", r#"{"auths":{"more.example":{"auth":"bW9yZQ=="}}}"#),
        ("key/ssh-privatekey", "KEY\n"),
        ("key/known_hosts", "github.com ssh-ed25519 AAAA\n"),
    ] {
        pod.write(&format!("tekton/creds-secrets/{file}"), value);
    }
    pod
}

/// Scenario 15 of the runtime specification (section 7).
#[test]
fn are_in_both_folders_byte_for_byte() {
    let pod = pod();
    let ended = pod.step(0, &FLAGS).run();
    assert_eq!((ended.code(), ended.stderr().as_str()), (0, ""));
    let key = format!("{}/tekton/creds/.ssh/id_key", pod.root());
    for folder in ["tekton/creds", "home"] {
        for (file, content) in [
            (
                ".gitconfig",
                "[credential]\n\thelper = store\n[credential \"https://git.example\"]\n\tusername = ann\n"
                    .to_owned(),
            ),
            (".git-credentials", "https://ann:p%40ss@git.example\n".to_owned()),
            (
                ".docker/config.json",
                concat!(
                    r#"{"auths":{"more.example":{"auth":"bW9yZQ=="},"other.example":{"auth":"b3RoZXI="},"#,
                    r#""registry.example":{"username":"ann","password":"p@ss","auth":"YW5uOnBAc3M="}}}"#
                )
                .to_owned(),
            ),
            (
                ".ssh/config",
                format!("Host github.com\n    HostName github.com\n    Port 22\n    IdentityFile {key}\n"),
            ),
            (".ssh/id_key", "KEY\n".to_owned()),
            (".ssh/known_hosts", "github.com ssh-ed25519 AAAA\n".to_owned()),
        ] {
            let file = format!("{folder}/{file}");
            assert_eq!(pod.read(&file), content, "{file}");
            let mode = pod.path(&file).metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{file}");
        }
        for folder in [".ssh", ".docker"].map(|name| pod.path(folder).join(name)) {
            assert_eq!(
                folder.metadata().unwrap().permissions().mode() & 0o777,
                0o700,
                "{}",
                folder.display()
            );
        }
    }
}

/// Another step with the same home folder may be reading.
#[test]
fn of_a_home_in_common_are_replaced_as_a_whole() {
    use std::io::Read as _;

    let pod = pod();
    assert_eq!(pod.step(0, &FLAGS).run().code(), 0);
    let content = pod.read("home/.docker/config.json");
    let mut reader = std::fs::File::open(pod.path("home/.docker/config.json")).unwrap();
    assert_eq!(pod.step(0, &["-basic-docker=basic=registry.example", "-entrypoint", "true"]).run().code(), 0);
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, content, "whoever had opened it reads what it was");
    assert_ne!(pod.read("home/.docker/config.json"), content);
    assert_eq!(pod.list("home/.docker").len(), 1, "nothing lies beside it");
}

#[test]
fn that_cannot_be_made_are_warnings() {
    let pod = pod();
    std::fs::remove_file(pod.path("tekton/creds-secrets/key/ssh-privatekey")).unwrap();
    let ended = pod.step(0, &FLAGS).env("HOME", "/proc/no/home").run();
    assert_eq!(ended.code(), 0);
    let said = ended.stderr();
    assert!(said.contains("warning: Secret key has no readable key ssh-privatekey: no such file"), "{said}");
    assert!(said.contains("warning: credentials: cannot write /proc/no/home/.gitconfig"), "{said}");
    assert!(pod.has("tekton/creds/.gitconfig") && !pod.has("tekton/creds/.ssh"));
}

#[test]
fn are_not_made_when_there_are_none() {
    let pod = Pod::new(1);
    assert_eq!(pod.script(0, &[], "true").code(), 0);
    assert!(pod.list("tekton/creds").is_empty() && pod.list("home").is_empty());
}
