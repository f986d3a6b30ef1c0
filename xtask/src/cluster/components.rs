//! The parts of a cluster: how each is started, and how it shows that it is ready.
use std::{path::PathBuf, time::Duration};

use super::{
    config::CONTAINERD_SOCKET,
    images,
    layout::Layout,
    programs::Programs,
    settings::{API_SERVER_PORT, Embedded, REGISTRY_PUSH_PORT},
};

/// A program that the supervisor keeps running.
#[derive(Clone, Debug)]
pub struct Component {
    /// Also the name of its log.
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub ready: Ready,
    /// How long it is given to end before it is killed.
    pub grace: Duration,
}

/// What shows that a component does its work.
#[derive(Clone, Debug)]
pub enum Ready {
    /// Takes connections on a unix socket.
    Socket(&'static str),
    /// Answers 200, or asks for a password; the certificate, if any, is of the cluster's authority.
    Answers(String),
    /// The API server says so to an administrator.
    ApiServer,
    /// The node's condition says so.
    Node,
}

pub const ETCD: &str = "etcd";
pub const CONTAINERD: &str = "containerd";
pub const API_SERVER: &str = "apiserver";

/// Those that need nobody else.
pub fn foundation(layout: &Layout, cluster: &Embedded, programs: &Programs) -> Vec<Component> {
    vec![
        etcd(layout, programs),
        Component {
            name: CONTAINERD,
            program: "containerd".into(),
            arguments: vec!["--config".into(), layout.config("containerd.toml").display().to_string()],
            ready: Ready::Socket(CONTAINERD_SOCKET),
            grace: Duration::from_secs(5),
        },
        registry(layout, "registry-read", &format!("https://{}/v2/", cluster.registry())),
        registry(
            layout,
            "registry-push",
            &format!("https://{}:{REGISTRY_PUSH_PORT}/v2/", cluster.registry()),
        ),
        registry(layout, images::REGISTRY, &format!("https://{}/v2/", cluster.images())),
    ]
}

fn etcd(layout: &Layout, programs: &Programs) -> Component {
    let pki = |file| layout.pki(file).display().to_string();
    Component {
        name: ETCD,
        program: programs.kube.clone(),
        arguments: vec![
            "etcd".into(),
            "--name=dev".into(),
            format!("--data-dir={}", layout.data("etcd").display()),
            "--listen-client-urls=https://127.0.0.1:2379".into(),
            "--advertise-client-urls=https://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--listen-metrics-urls=http://127.0.0.1:2381".into(),
            // Nobody uses it, and it would have to be a client of its own server.
            "--enable-grpc-gateway=false".into(),
            format!("--cert-file={}", pki("etcd.crt")),
            format!("--key-file={}", pki("etcd.key")),
            "--client-cert-auth".into(),
            format!("--trusted-ca-file={}", pki("etcd-ca.crt")),
            // A power cut may cost the last seconds; in exchange nothing waits for the disk.
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
        ],
        ready: Ready::Answers("http://127.0.0.1:2381/readyz".into()),
        grace: Duration::from_secs(10),
    }
}

fn registry(layout: &Layout, name: &'static str, url: &str) -> Component {
    Component {
        name,
        program: "docker-registry".into(),
        arguments: vec!["serve".into(), layout.config(&format!("{name}.json")).display().to_string()],
        ready: Ready::Answers(url.to_owned()),
        grace: Duration::from_secs(2),
    }
}

pub fn api_server(layout: &Layout, cluster: &Embedded, programs: &Programs) -> Component {
    let pki = |file| layout.pki(file).display().to_string();
    Component {
        name: API_SERVER,
        program: programs.kube.clone(),
        arguments: vec![
            "apiserver".into(),
            format!("--bind-address={}", cluster.node()),
            format!("--advertise-address={}", cluster.node()),
            format!("--secure-port={API_SERVER_PORT}"),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            "--etcd-servers=https://127.0.0.1:2379".into(),
            format!("--etcd-cafile={}", pki("etcd-ca.crt")),
            format!("--etcd-certfile={}", pki("etcd-client.crt")),
            format!("--etcd-keyfile={}", pki("etcd-client.key")),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki("kubelet-client.key")),
            format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
            "--requestheader-allowed-names=front-proxy-client".into(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
            "--requestheader-group-headers=X-Remote-Group".into(),
            "--requestheader-username-headers=X-Remote-User".into(),
            format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
            format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--service-account-key-file={}", pki("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", pki("service-accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-cluster-ip-range={}", cluster.services),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--allow-privileged=true".into(),
            "--profiling=false".into(),
            format!("--audit-policy-file={}", layout.config("audit-policy.json").display()),
            format!("--audit-log-path={}", layout.log("audit").display()),
            "--audit-log-maxsize=100".into(),
            "--audit-log-maxbackup=2".into(),
        ],
        ready: Ready::ApiServer,
        grace: Duration::from_secs(5),
    }
}

/// Those that work on what the API server holds.
pub fn workers(layout: &Layout, cluster: &Embedded, programs: &Programs) -> Vec<Component> {
    let path = |path: PathBuf| path.display().to_string();
    let kube = |name, arguments: Vec<String>, ready| Component {
        name,
        program: programs.kube.clone(),
        arguments: [vec![name.to_owned()], arguments].concat(),
        ready,
        grace: Duration::from_secs(3),
    };
    let controller = |name: &'static str, port: u16, more: Vec<String>| {
        let kubeconfig = path(layout.pki(&format!("{name}.kubeconfig")));
        let mut arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", path(layout.pki(&format!("{name}.crt")))),
            format!("--tls-private-key-file={}", path(layout.pki(&format!("{name}.key")))),
            "--leader-elect=false".into(),
            "--profiling=false".into(),
        ];
        arguments.extend(more);
        kube(name, arguments, Ready::Answers(format!("https://127.0.0.1:{port}/healthz")))
    };
    vec![
        controller(
            "controller-manager",
            10257,
            vec![
                format!("--service-account-private-key-file={}", path(layout.pki("service-accounts.key"))),
                format!("--root-ca-file={}", path(layout.pki("ca.crt"))),
                "--use-service-account-credentials".into(),
            ],
        ),
        controller("scheduler", 10259, Vec::new()),
        kube(
            "kubelet",
            vec![
                format!("--config={}", path(layout.config("kubelet.json"))),
                format!("--kubeconfig={}", path(layout.pki("kubelet.kubeconfig"))),
                format!("--root-dir={}", path(layout.data("kubelet"))),
                format!("--node-ip={}", cluster.node()),
                format!("--hostname-override={}", cluster.name),
            ],
            Ready::Node,
        ),
        kube(
            "proxy",
            vec![format!("--config={}", path(layout.config("kube-proxy.json")))],
            Ready::Answers("http://127.0.0.1:10256/healthz".into()),
        ),
        Component {
            name: "coredns",
            program: programs.coredns.clone(),
            arguments: vec!["-conf".into(), path(layout.config("Corefile"))],
            ready: Ready::Answers("http://127.0.0.1:8181/ready".into()),
            grace: Duration::from_secs(2),
        },
    ]
}
