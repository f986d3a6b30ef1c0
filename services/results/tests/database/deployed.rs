//! The retention agent as it is deployed: with the environment, the configuration file and the policy of its base.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use jiff::SignedDuration;
use kube::core::DynamicObject;
use results::logs::{Kind, LogKey, LogStore};
use results::retention::{Args, Settings, run};
use results::store::Tls;
use results::{config, retention};
use serde_json::{Value, json};
use testkit::manifests;

use crate::fixture::{Fixture, PIPELINE_RUN, fixture};
use crate::retention::{clock, with_label};

const AGENT: &str = "tekton-results-retention-policy-agent";

/// The objects of the base, and a folder with what a pod of the agent would see of its ConfigMaps.
struct Pod {
    objects: Vec<DynamicObject>,
    root: tempfile::TempDir,
}

impl Pod {
    async fn new() -> Self {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base/results");
        let objects = manifests::read(&base).await.unwrap();
        let pod = Self { objects, root: tempfile::tempdir().unwrap() };
        for mount in items(&pod.container()["volumeMounts"]) {
            let volume = pod.volume(mount["name"].as_str().unwrap());
            let Some(name) = volume["configMap"]["name"].as_str() else { continue };
            if volume["configMap"]["optional"] != json!(true) {
                mounted(&pod.inside(mount["mountPath"].as_str().unwrap()), &pod.config_map(name));
            }
        }
        pod
    }

    fn object(&self, of: &str, name: &str) -> &DynamicObject {
        let is_meant = |object: &&DynamicObject| {
            object.types.as_ref().is_some_and(|types| types.kind == of)
                && object.metadata.name.as_deref() == Some(name)
        };
        self.objects.iter().find(is_meant).unwrap_or_else(|| unreachable!("the base has no {of} {name}"))
    }

    fn spec(&self) -> &Value {
        &self.object("Deployment", AGENT).data["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.spec()["containers"][0]
    }

    fn volume(&self, name: &str) -> &Value {
        items(&self.spec()["volumes"]).iter().find(|volume| volume["name"] == name).unwrap()
    }

    fn config_map(&self, name: &str) -> BTreeMap<String, String> {
        serde_json::from_value(self.object("ConfigMap", name).data["data"].clone()).unwrap()
    }

    /// Where a path of the pod lies here.
    fn inside(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Whether something is mounted there, which is more than an empty folder of the image.
    fn has_mount(&self, path: &Path) -> bool {
        items(&self.container()["volumeMounts"])
            .iter()
            .any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()))
    }

    /// The environment as flags, since tests have one environment for all of them.
    fn flags(&self) -> Vec<String> {
        let flags = items(&self.container()["env"]).iter().map(|variable| {
            let name = variable["name"].as_str().unwrap();
            let flag =
                flag_of(&Args::command(), name).unwrap_or_else(|| unreachable!("the agent reads no {name}"));
            let value = match &variable["valueFrom"]["secretKeyRef"]["key"] {
                Value::String(key) => key.to_lowercase(),
                _ => variable["value"].as_str().unwrap().to_owned(),
            };
            let here = self.inside(&value);
            let value = if here.exists() { here.to_str().unwrap().to_owned() } else { value };
            format!("--{flag}={value}")
        });
        let flags: Vec<_> = flags.collect();
        [vec!["results-retention".to_owned()], flags].concat()
    }

    /// What the agent makes of it, with these flags in place of what leads to other machines.
    fn args(&self, instead: &[String]) -> Result<Args, clap::Error> {
        let flag = |given: &str| given.split('=').next().unwrap_or_default().to_owned();
        let mut flags = self.flags();
        flags.retain(|given| !instead.iter().any(|other| flag(other) == flag(given)));
        flags.extend_from_slice(instead);
        config::parse_over(&self.inside(config::FILE), flags)
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn flag_of(command: &Command, variable: &str) -> Option<String> {
    let arg = command.get_arguments().find(|arg| arg.get_env().is_some_and(|env| env == variable))?;
    arg.get_long().map(ToOwned::to_owned)
}

/// A ConfigMap as a kubelet mounts it: each key a link through a folder that is replaced as a whole.
fn mounted(folder: &Path, data: &BTreeMap<String, String>) {
    let version = folder.join("..2026_06_01");
    std::fs::create_dir_all(&version).unwrap();
    symlink("..2026_06_01", folder.join("..data")).unwrap();
    for (key, text) in data {
        std::fs::write(version.join(key), text).unwrap();
        symlink(Path::new("..data").join(key), folder.join(key)).unwrap();
    }
}

#[tokio::test]
async fn it_reads_its_settings() {
    let pod = Pod::new().await;
    let file = pod.inside(config::FILE);
    assert!(file.exists(), "the ConfigMap is mounted where the agent looks: {}", config::FILE);
    let written = config::read(&file).unwrap();
    let args = pod.args(&[]).unwrap();
    let (database, logs) = (args.database.options(), args.logs.options());
    assert_eq!(database.host, written["DB_HOST"]);
    assert_eq!(database.port.to_string(), written["DB_PORT"]);
    assert_eq!(database.name, written["DB_NAME"]);
    assert_eq!(
        (database.user.as_str(), database.password.expose().as_str()),
        ("postgres_user", "postgres_password")
    );
    assert_eq!(database.tls, Tls::VerifyFull, "the base sends no password in plain text");
    let authority = database.root_cert.unwrap();
    assert_eq!(authority, Path::new(&written["DB_SSLROOTCERT"]));
    assert!(args.logs.logs_api, "the API stores logs, so the agent has to delete them");
    assert_eq!((logs.kind, logs.folder.as_path()), (Kind::File, Path::new(&written["LOGS_PATH"])));
    for path in [&authority, &logs.folder] {
        assert!(pod.has_mount(path), "nothing is mounted at {}", path.display());
    }
    // The file is the API's too, and a name that neither knows would be passed over.
    for name in written.keys() {
        assert!(flag_of(&results::Args::command(), name).is_some(), "the API reads no {name}");
    }

    let settings = Settings::read(&args.retention_policy).unwrap();
    assert_eq!(settings.run_at, "5 5 * * 0".parse().unwrap());
    assert_eq!(settings.default, SignedDuration::from_hours(30 * 24));
    let [releases] = &settings.policies[..] else { panic!("{settings:?}") };
    assert_eq!(
        (releases.name.as_str(), releases.retention),
        ("releases", SignedDuration::from_hours(365 * 24))
    );
    let types = &releases.selector.match_labels["pipelines.appstudio.openshift.io/type"];
    assert_eq!(types, &["final", "managed", "tenant"]);
    assert!(!args.once, "it waits for its hour");
}

#[tokio::test]
async fn it_deletes_what_its_policy_says() {
    let pod = Pod::new().await;
    let fixture = fixture().await;
    let folder = tempfile::tempdir().unwrap();
    let Fixture { database, .. } = &fixture;
    let instead = [
        format!("--db-host={}", database.host()),
        format!("--db-port={}", database.port()),
        format!("--db-name={}", database.name()),
        format!("--db-user={}", database.user()),
        format!("--db-password={}", database.password()),
        format!("--db-sslrootcert={}", database.authority().display()),
        format!("--logs-path={}", folder.path().display()),
        "--once".to_owned(),
    ];
    let args = pod.args(&instead).unwrap();
    let kind = "pipelines.appstudio.openshift.io/type";
    for (name, age, data) in [
        ("young", 29, json!({})),
        ("old", 31, json!({})),
        ("build", 31, with_label(kind, "build")),
        ("managed", 364, with_label(kind, "managed")),
        ("old-managed", 366, with_label(kind, "managed")),
        ("tenant", 31, with_label(kind, "tenant")),
        ("final", 31, with_label(kind, "final")),
    ] {
        fixture.aged("ns", name, PIPELINE_RUN, age, &data).await;
    }
    let logs = LogStore::open(&args.logs.options(), &clock()).await.unwrap();
    let mut keys = Vec::new();
    for name in ["old", "young"] {
        let uid = fixture.store.get_result("ns", name).await.unwrap().uid;
        let key = LogKey::new("ns", &uid, "log").unwrap();
        logs.put(&key, futures::stream::iter([Ok(bytes::Bytes::from_static(b"text"))])).await.unwrap();
        keys.push(key);
    }
    run(args, clock()).await.unwrap();
    assert_eq!(fixture.kept().await, ["final", "managed", "tenant", "young"]);
    assert!(logs.get(&keys[0]).await.is_err(), "stored logs go too");
    assert!(logs.get(&keys[1]).await.is_ok());
}

/// A mistake in the policy ends the start, by its name, and deletes nothing.
#[tokio::test]
async fn a_mistake_in_its_policy_ends_the_start() {
    let pod = Pod::new().await;
    let fixture = fixture().await;
    fixture.aged("ns", "old", PIPELINE_RUN, 1000, &json!({})).await;
    let Fixture { database, .. } = &fixture;
    let policy = pod.inside("/policy");
    let data = [("policies".to_owned(), "- {name: a, retention: forever}".to_owned())];
    mounted(&policy, &data.into());
    let args = pod.args(&[
        format!("--db-host={}", database.host()),
        format!("--db-port={}", database.port()),
        format!("--db-name={}", database.name()),
        format!("--db-user={}", database.user()),
        format!("--db-password={}", database.password()),
        format!("--db-sslrootcert={}", database.authority().display()),
        format!("--retention-policy={}", policy.display()),
        "--logs-api=false".to_owned(),
        "--once".to_owned(),
    ]);
    let error = run(args.unwrap(), clock()).await.unwrap_err();
    assert!(matches!(error, retention::Error::Policy(_)), "{error:?}");
    assert!(error.to_string().contains("forever"), "{error}");
    assert_eq!(fixture.kept().await, ["old"]);
}
