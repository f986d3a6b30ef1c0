//! Starts etcd, kube-apiserver and kube-controller-manager, tuned for tests: nothing is synced to disk, only
//! loopback is listened on.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use kube::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::guard::{Folder, Program};
use super::programs::Programs;
use crate::pki::{self, Authority};
use crate::port::free_port;

/// Much more than the few seconds that it takes on an idle machine.
const START: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the port between our choosing and the API server's binding it.
const PORT_ATTEMPTS: usize = 4;

/// etcd listens on this socket in the run's folder: unlike a TCP port it cannot be taken by another program, and
/// other users cannot write to it. Kubernetes takes the "host" of `unix://…`, which has to end in a port, as a path
/// relative to its working directory, so this is the file's name too.
const ETCD_SOCKET: &str = "etcd.sock:0";
pub(super) const AUDIT_LOG: &str = "audit.log";
pub(super) const KUBECONFIG: &str = "admin.kubeconfig";
const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");

/// Starts etcd and waits until it answers.
pub(super) async fn etcd(programs: &Programs, folder: &Folder) -> anyhow::Result<Program> {
    let socket = format!("unix://{ETCD_SOCKET}");
    // A single member never talks to a peer, but insists on listening for some.
    let peers = "http://127.0.0.1:0";
    let mut etcd = folder.start(
        "etcd",
        &programs.command("etcd"),
        &[
            "--name=test".to_owned(),
            "--data-dir=etcd".to_owned(),
            format!("--listen-client-urls={socket}"),
            format!("--advertise-client-urls={socket}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=test={peers}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ],
    )?;
    let socket = folder.path().join(ETCD_SOCKET);
    await_ready(&mut etcd, || is_healthy(&socket)).await?;
    Ok(etcd)
}

/// Starts an API server on a free port of 127.0.0.1, writes an administrator's kubeconfig, and waits until it serves.
pub(super) async fn api_server(
    programs: &Programs,
    folder: &Folder,
    authority: &Authority,
) -> anyhow::Result<Program> {
    write_credentials(folder, authority)?;
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port()?;
        let administrator = authority.client("konflux-test-admin", &["system:masters"])?;
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig =
            folder.write(KUBECONFIG, pki::kubeconfig(&url, authority.cert_pem(), &administrator))?;
        let client = Client::try_from(super::read_config(&kubeconfig).await?)?;

        let mut server =
            folder.start("apiserver", &programs.command("apiserver"), &api_server_flags(port))?;
        match await_ready(&mut server, || is_serving(&client)).await {
            Ok(()) => return Ok(server),
            Err(_) if server.output().contains("address already in use") => {}
            Err(error) => return Err(error),
        }
    }
    bail!(
        "{PORT_ATTEMPTS} ports in a row were free when chosen and taken when used: what else is starting here?"
    )
}

/// Starts the controllers that collect garbage, empty deleted namespaces and make default service accounts.
pub(super) fn controllers(
    programs: &Programs,
    folder: &Folder,
    authority: &Authority,
    url: &str,
) -> anyhow::Result<Program> {
    // One account for all its controllers; the group stands in for the many roles that they would have apart.
    let identity = authority.client("system:kube-controller-manager", &["system:masters"])?;
    folder.write("controllers.kubeconfig", pki::kubeconfig(url, authority.cert_pem(), &identity))?;
    folder.start(
        "controller-manager",
        &programs.command("controller-manager"),
        &[
            "--kubeconfig=controllers.kubeconfig",
            "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller",
            "--leader-elect=false",
            "--secure-port=0",
            "--concurrent-namespace-syncs=4",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]
        .map(str::to_owned),
    )
}

fn write_credentials(folder: &Folder, authority: &Authority) -> anyhow::Result<()> {
    let serving = authority.server("kube-apiserver", &["127.0.0.1", "localhost"])?;
    // Kubernetes reads the public key out of a certificate; whom it names does not matter.
    let tokens = authority.client("service-account-tokens", &[] as &[&str])?;
    folder.write("ca.crt", authority.cert_pem())?;
    folder.write("serving.crt", serving.cert_pem)?;
    folder.write("serving.key", serving.key_pem)?;
    folder.write("tokens.crt", tokens.cert_pem)?;
    folder.write("tokens.key", tokens.key_pem)?;
    folder.write("audit-policy.yaml", AUDIT_POLICY)?;
    Ok(())
}

fn api_server_flags(port: u16) -> Vec<String> {
    let mut flags = vec![format!("--secure-port={port}"), format!("--etcd-servers=unix://{ETCD_SOCKET}")];
    flags.extend(
        [
            "--bind-address=127.0.0.1",
            // Nobody looks for this server through the `kubernetes` Service, and loopback may not stand there.
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--tls-cert-file=serving.crt",
            "--tls-private-key-file=serving.key",
            "--client-ca-file=ca.crt",
            "--anonymous-auth=false",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=tokens.key",
            "--service-account-key-file=tokens.crt",
            // It would refuse pods in namespaces whose default account no controller has made yet.
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
            "--audit-policy-file=audit-policy.yaml",
            // Logged before the client has its answer: this is what makes the ledger complete.
            "--audit-log-mode=blocking",
        ]
        .map(str::to_owned),
    );
    flags.push(format!("--audit-log-path={AUDIT_LOG}"));
    flags
}

/// Polls until `is_ready`. An error tells what the program printed last.
async fn await_ready(program: &mut Program, is_ready: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        if let Some(status) = program.ended()? {
            bail!("ended at once, {status}; {}", program.last_words());
        }
        // A request may be left without an answer while the program starts or the machine is busy.
        if timeout(Duration::from_secs(5), is_ready()).await.unwrap_or(false) {
            return Ok(());
        }
        if started.elapsed() > START {
            bail!("not ready after {START:?}; {}", program.last_words());
        }
        sleep(POLL).await;
    }
}

async fn is_healthy(etcd: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(etcd).await?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

/// Ready, and past making the namespaces that it begins with.
async fn is_serving(client: &Client) -> bool {
    let answers = async |path: &str| match http::Request::get(path).body(Vec::new()) {
        Ok(request) => client.request_text(request).await.is_ok(),
        Err(_) => false,
    };
    answers("/readyz").await && answers("/api/v1/namespaces/default").await
}

/// That `path` can be the address of a socket.
pub(super) fn check_length(folder: &Path) -> anyhow::Result<()> {
    const LONGEST: usize = 107;
    let socket = folder.join(ETCD_SOCKET);
    if socket.as_os_str().len() > LONGEST {
        bail!("{} is too long for a socket's path: set TMPDIR to a shorter folder", socket.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_how_a_program_ended_that_does_not_start() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let broken = Programs::AllInOne("/bin/cat".into());
        let error = etcd(&broken, &folder).await.unwrap_err().to_string();
        assert!(error.contains("ended at once, exit status: 1"), "{error}");
        assert!(error.contains("the last that etcd printed"), "{error}");
        assert!(error.contains("cat: "), "{error}");
    }

    #[test]
    fn refuses_a_folder_whose_name_is_too_long_for_a_socket() {
        assert!(check_length(Path::new("/tmp/run-123456")).is_ok());
        let error = check_length(&Path::new("/tmp").join("x".repeat(100))).unwrap_err();
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }
}
