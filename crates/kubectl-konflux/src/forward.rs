//! A way to a Service of the cluster: `kubectl port-forward`, for as long as this program runs.
//!
//! The API server's own proxy of Services is no way: it takes off the token, and the archive does not know who asks.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cli::Global;
use crate::connect::ServicePort;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open way. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) port: u16,
    /// Killed with it.
    _program: Child,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "`{program} port-forward` cannot be started; install kubectl, or say by --results-url where the archive is"
    )]
    Start { program: String, source: std::io::Error },
    #[error(
        "the archive's Service {namespace}/{name} cannot be reached by `kubectl port-forward`: {said}. Say by --results-url where the archive is; who runs the cluster knows"
    )]
    Refused { namespace: String, name: String, said: String },
    #[error("`kubectl port-forward` to the archive's Service {namespace}/{name} was not ready within {} s", PATIENCE.as_secs())]
    Slow { namespace: String, name: String },
}

/// Opens a way to `service`, by the program `kubectl`.
pub(crate) async fn open(kubectl: &Path, service: &ServicePort, flags: &Global) -> Result<Forward, Error> {
    let ServicePort { namespace, name, port } = service;
    let mut command = Command::new(kubectl);
    command.args(["port-forward", "--address", "127.0.0.1", "--namespace", namespace]);
    if let Some(path) = &flags.kubeconfig {
        command.arg("--kubeconfig").arg(path);
    }
    if let Some(context) = &flags.context {
        command.args(["--context", context]);
    }
    command.arg(format!("service/{name}")).arg(format!(":{port}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |source| Error::Start { program: kubectl.display().to_string(), source };
    let mut program = command.spawn().map_err(failed)?;
    let said = program.stdout.take().expect("it is piped");
    let mut complaints = program.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(said).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(port) = port_of(&line) {
                return Some(port);
            }
        }
        None
    };
    match tokio::time::timeout(PATIENCE, ready).await {
        Ok(Some(port)) => {
            // It prints a line for each connection, and must not wait for a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            tokio::spawn(async move { tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await });
            Ok(Forward { port, _program: program })
        }
        Ok(None) => {
            let mut text = String::new();
            // What cannot be read is not said.
            let _ = (&mut complaints).take(4096).read_to_string(&mut text).await;
            let said = text.trim().trim_start_matches("error: ").to_owned();
            Err(Error::Refused { namespace: namespace.clone(), name: name.clone(), said })
        }
        Err(_) => Err(Error::Slow { namespace: namespace.clone(), name: name.clone() }),
    }
}

/// Of `Forwarding from 127.0.0.1:40123 -> 8080`.
fn port_of(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rstest::rstest;

    use super::*;

    fn service() -> ServicePort {
        ServicePort { namespace: "a".into(), name: "b".into(), port: 80 }
    }

    /// A program in the place of kubectl.
    fn program(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("kubectl");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[rstest]
    #[case("Forwarding from 127.0.0.1:40123 -> 8080", Some(40123))]
    #[case("Forwarding from [::1]:40123 -> 8080", None)]
    #[case("Forwarding from 127.0.0.1:nothing -> 8080", None)]
    #[case("", None)]
    fn reads_the_port(#[case] line: &str, #[case] expected: Option<u16>) {
        assert_eq!(port_of(line), expected);
    }

    #[tokio::test]
    async fn opens() {
        let folder = tempfile::tempdir().unwrap();
        let kubectl =
            program(folder.path(), "echo \"Forwarding from 127.0.0.1:40123 -> 8080\"; exec cat /dev/zero");
        let forward = open(&kubectl, &service(), &Global::default()).await.unwrap();
        assert_eq!(forward.port, 40123);
    }

    #[tokio::test]
    async fn says_what_kubectl_said() {
        let folder = tempfile::tempdir().unwrap();
        let kubectl = program(folder.path(), "echo 'error: services \"b\" is forbidden' >&2; exit 1");
        let error = open(&kubectl, &service(), &Global::default()).await.unwrap_err().to_string();
        assert!(
            error.contains("Service a/b") && error.contains(": services \"b\" is forbidden. Say"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn says_that_there_is_no_kubectl() {
        let error = open(Path::new("/nowhere/kubectl"), &service(), &Global::default()).await.unwrap_err();
        assert!(error.to_string().contains("install kubectl"), "{error}");
    }
}
