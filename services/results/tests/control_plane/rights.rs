//! The rules of the base are what the server uses: nothing is missing, nothing is too much. And what the archive itself asks
//! about: the roles for users, and that of the watcher.

use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use testkit::manifests;
use testkit::postgres::Postgres;
use testkit::rbac::grants;
use testkit::{ControlPlane, DEADLINE, Namespace, eventually};

use crate::server::{Server, record, result};

/// The account of the server.
pub(crate) const API: &str = "tekton-results-api";
const WATCHER: &str = "tekton-results-watcher";
const AGENT: &str = "tekton-results-retention-policy-agent";

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base/results")
}

/// The administrator's kubeconfig, with the token of an account in place of the administrator.
pub(crate) fn kubeconfig(folder: &Path, plane: &ControlPlane, token: &str) -> PathBuf {
    let config = Kubeconfig::read_from(plane.kubeconfig()).unwrap();
    let mut config = serde_json::to_value(&config).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token });
    }
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let installed = plane.install("results", None).await?;
    let folder = tempfile::tempdir()?;
    let own = plane.token_of(installed.namespace(), API, &[]).await?;
    let flag = format!("--kubeconfig={}", kubeconfig(folder.path(), plane, &own).display());
    let database = Postgres::database().await?;
    let ledger = plane.ledger()?;
    let mark = ledger.mark().await?;
    let server = Server::with(&database, Path::new("/nowhere"), &[&flag]).await;

    // What the watcher asks of the archive, in any namespace, with its account of the base.
    let namespace = plane.namespace("tenant").await?;
    let watcher = plane.token_of(installed.namespace(), WATCHER, &[]).await?;
    let results = format!("{namespace}/results");
    let expect = async |method: Method, path: &str, body: Option<Value>, status: StatusCode| {
        let answer = server.call(method.clone(), &watcher, path, body, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    };
    let run = record(&namespace, "first", "run", "t", &json!({}));
    expect(Method::POST, &results, Some(result(&namespace, "first")), StatusCode::OK).await;
    expect(Method::GET, &format!("{results}/first"), None, StatusCode::OK).await;
    let update = Some(json!({ "annotations": {} }));
    expect(Method::PATCH, &format!("{results}/first"), update, StatusCode::OK).await;
    expect(Method::POST, &format!("{results}/first/records"), Some(run.clone()), StatusCode::OK).await;
    let path = format!("{results}/first/records/run");
    expect(Method::GET, &path, None, StatusCode::OK).await;
    expect(Method::PATCH, &path, Some(run), StatusCode::OK).await;
    expect(Method::GET, &format!("{results}/first/logs/run"), None, StatusCode::NOT_FOUND).await;
    // It neither lists nor deletes: that is for the retention agent, which asks the database.
    expect(Method::GET, &results, None, StatusCode::FORBIDDEN).await;
    expect(Method::DELETE, &path, None, StatusCode::FORBIDDEN).await;
    expect(Method::DELETE, &format!("{results}/first"), None, StatusCode::FORBIDDEN).await;
    // Acting as somebody else is asked about with the same right.
    let other = [("impersonate-user", "jane")];
    let refused = server.call(Method::GET, &watcher, &results, None, &other).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");

    let calls = ledger.since(&mark).await?.by(&installed.user_as(API));
    assert!(!calls.is_empty(), "the server uses its own account");
    let mut comparison = installed.compare_rules(&calls, &[])?;
    // The watcher's are compared where the watcher runs.
    comparison.unused.retain(|grant| grant.role == format!("ClusterRole {API}"));
    comparison.check()
}

/// It asks the database alone: no rules, and no token that somebody could steal.
#[tokio::test]
async fn the_retention_agent_has_no_rights() -> anyhow::Result<()> {
    let objects = manifests::read(&base()).await?;
    assert!(grants(&objects, "tekton-results", AGENT)?.is_empty());
    assert!(!grants(&objects, "tekton-results", API)?.is_empty(), "this looks at the right objects");
    let agent = |object: &&kube::core::DynamicObject| {
        object.types.as_ref().is_some_and(|types| types.kind == "Deployment")
            && object.metadata.name.as_deref() == Some(AGENT)
    };
    let pod = &objects.iter().find(agent).unwrap().data["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["serviceAccountName"], &pod["automountServiceAccountToken"]),
        (&json!(AGENT), &json!(false))
    );
    Ok(())
}

/// Binds a role of the base, as it is called here, to an account in the namespace.
async fn bind(namespace: &Namespace<'_>, role: &str, account: &str) {
    let binding = format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: {account} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role} }}
subjects: [{{ kind: ServiceAccount, name: {account}, namespace: {namespace} }}]
"
    );
    namespace.apply_yaml(&binding).await.unwrap();
}

/// The roles that the base has for users open what their names say.
#[tokio::test]
async fn the_roles_for_users_mean_what_they_are_called() -> anyhow::Result<()> {
    let server = Server::start().await;
    let installed = server.plane.install("results", None).await?;
    let namespace = server.plane.namespace("roles").await?;
    let results = format!("{namespace}/results");
    let record_of = |name: &str| record(&namespace, "first", name, "t", &json!({}));
    let mut tokens = Vec::new();
    for role in ["readonly", "readwrite", "admin"] {
        bind(&namespace, &installed.name_of(&format!("tekton-results-{role}")), role).await;
        let token = server.plane.token_of(&namespace, role, &[]).await?;
        let listed = async || {
            let answer = server.get(&token, &results).await;
            anyhow::ensure!(answer.status == StatusCode::OK, "{answer:?}");
            Ok(())
        };
        eventually(DEADLINE, "the RoleBinding to be known", listed).await?;
        tokens.push(token);
    }
    let [reader, writer, admin] = &tokens[..] else { unreachable!() };
    let (read, write) = (format!("{results}/first/records/run"), format!("{results}/first/records"));
    let is = async |token: &str, method: Method, path: &str, body: Option<Value>, status: StatusCode| {
        let answer = server.call(method.clone(), token, path, body, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    };
    is(reader, Method::POST, &results, Some(result(&namespace, "first")), StatusCode::FORBIDDEN).await;
    is(writer, Method::POST, &results, Some(result(&namespace, "first")), StatusCode::OK).await;
    is(writer, Method::POST, &write, Some(record_of("run")), StatusCode::OK).await;
    is(writer, Method::PATCH, &read, Some(record_of("run")), StatusCode::OK).await;
    is(reader, Method::GET, &read, None, StatusCode::OK).await;
    is(reader, Method::GET, &format!("{write}/summary"), None, StatusCode::OK).await;
    is(reader, Method::GET, &format!("{results}/-/logs"), None, StatusCode::OK).await;
    is(reader, Method::PATCH, &read, Some(record_of("run")), StatusCode::FORBIDDEN).await;
    for token in [reader, writer] {
        is(token, Method::DELETE, &read, None, StatusCode::FORBIDDEN).await;
    }
    is(admin, Method::DELETE, &read, None, StatusCode::OK).await;
    is(admin, Method::DELETE, &format!("{results}/first"), None, StatusCode::OK).await;
    Ok(())
}
