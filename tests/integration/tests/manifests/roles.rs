//! The roles of tenants, asked of the API server: each verb on each kind, allowed or not.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use k8s_openapi::{
    api::{
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        core::v1::{ConfigMap, Namespace, Secret, ServiceAccount},
        rbac::v1::{ClusterRole, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use rstest::rstest;
use serde_json::json;
use testkit::{ControlPlane, builders, user_name};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{component, components_as, deployed, repository, tenancy};

/// From the weakest; the user of each is called like it.
const ROLES: [&str; 4] = ["viewer", "contributor", "maintainer", "admin"];

const VERBS: [(char, &str); 8] = [
    ('g', "get"),
    ('l', "list"),
    ('w', "watch"),
    ('c', "create"),
    ('u', "update"),
    ('p', "patch"),
    ('d', "delete"),
    ('x', "deletecollection"),
];

/// Group, resource, and the verbs of viewer, contributor, maintainer and admin, each by its letter. The whole of it:
/// what is not here, nobody may.
const TABLE: &[(&str, &str, [&str; 4])] = &[
    ("", "configmaps", ["", "glw", "glw", "glwcupd"]),
    ("", "events", ["glw"; 4]),
    ("", "limitranges", ["glw"; 4]),
    ("", "namespaces", ["g"; 4]),
    ("", "persistentvolumeclaims", ["glw"; 4]),
    ("", "pods", ["glw"; 4]),
    ("", "pods/log", ["", "g", "g", "g"]),
    ("", "resourcequotas", ["glw"; 4]),
    ("", "secrets", ["", "", "", "glwcupd"]),
    ("", "serviceaccounts", ["glw"; 4]),
    ("", "services", ["glw"; 4]),
    ("apps", "daemonsets", ["glw"; 4]),
    ("apps", "deployments", ["glw"; 4]),
    ("apps", "replicasets", ["glw"; 4]),
    ("apps", "statefulsets", ["glw"; 4]),
    ("batch", "cronjobs", ["glw"; 4]),
    ("batch", "jobs", ["glw"; 4]),
    ("events.k8s.io", "events", ["glw"; 4]),
    ("networking.k8s.io", "ingresses", ["glw"; 4]),
    ("networking.k8s.io", "networkpolicies", ["glw"; 4]),
    ("rbac.authorization.k8s.io", "rolebindings", ["", "", "", "glw"]),
    ("route.openshift.io", "routes", ["glw"; 4]),
    ("appstudio.redhat.com", "applications", ["glw", "glw", "glwcup", "glwcupdx"]),
    ("appstudio.redhat.com", "buildpipelineselectors", ["glw", "glw", "glwc", "glwcupd"]),
    ("appstudio.redhat.com", "componentdetectionqueries", ["glw", "glw", "glwcup", "glwcupdx"]),
    ("appstudio.redhat.com", "components", ["glw", "glw", "glwcup", "glwcupdx"]),
    ("appstudio.redhat.com", "dependencyupdatechecks", ["glw", "glw", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "deploymenttargetclaims", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "deploymenttargets", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "enterprisecontractpolicies", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "environments", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "imagerepositories", ["glw", "glw", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "integrationtestscenarios", ["glw", "glw", "glwcupd", "glwcupd"]),
    ("appstudio.redhat.com", "internalrequests", ["glw"; 4]),
    ("appstudio.redhat.com", "promotionruns", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "releaseplanadmissions", ["glw", "glw", "glwcupd", "glwcupd"]),
    ("appstudio.redhat.com", "releaseplans", ["glw", "glw", "glwcupd", "glwcupd"]),
    ("appstudio.redhat.com", "releases", ["glw", "glw", "glwcupd", "glwcupd"]),
    ("appstudio.redhat.com", "releasestrategies", ["glw", "glw", "glwcupd", "glwcupd"]),
    ("appstudio.redhat.com", "remotesecrets", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "snapshotenvironmentbindings", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "snapshots", ["glw", "glw", "glw", "glwcupd"]),
    ("appstudio.redhat.com", "spiaccesschecks", ["glw", "glw", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "spiaccesstokenbindings", ["glw", "glw", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "spiaccesstokendataupdates", ["", "", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "spiaccesstokens", ["glw", "glw", "glwcup", "glwcupd"]),
    ("appstudio.redhat.com", "spifilecontentrequests", ["glw", "glw", "glwcup", "glwcupd"]),
    ("jvmbuildservice.io", "artifactbuilds", ["glw", "glw", "glwcup", "glwcupd"]),
    ("jvmbuildservice.io", "dependencybuilds", ["glw"; 4]),
    ("jvmbuildservice.io", "jbsconfigs", ["glw", "glw", "glwcup", "glwcupd"]),
    ("jvmbuildservice.io", "rebuiltartifacts", ["glw"; 4]),
    ("managed-gitops.redhat.com", "gitopsdeploymentmanagedenvironments", ["glw"; 4]),
    ("managed-gitops.redhat.com", "gitopsdeploymentrepositorycredentials", ["glw"; 4]),
    ("managed-gitops.redhat.com", "gitopsdeployments", ["glw"; 4]),
    ("managed-gitops.redhat.com", "gitopsdeploymentsyncruns", ["glw"; 4]),
    ("pipelinesascode.tekton.dev", "repositories", ["glw", "glw", "glw", "glwcupd"]),
    ("resolution.tekton.dev", "resolutionrequests", ["glw"; 4]),
    ("results.tekton.dev", "logs", ["", "gl", "gl", "gl"]),
    ("results.tekton.dev", "records", ["gl"; 4]),
    ("results.tekton.dev", "results", ["gl"; 4]),
    ("tekton.dev", "customruns", ["glw"; 4]),
    ("tekton.dev", "pipelineruns", ["glw", "glw", "glw", "glwcupd"]),
    ("tekton.dev", "pipelines", ["glw", "glw", "glw", "glwcupd"]),
    ("tekton.dev", "stepactions", ["glw", "glw", "glw", "glwcupd"]),
    ("tekton.dev", "taskruns", ["glw"; 4]),
    ("tekton.dev", "tasks", ["glw", "glw", "glw", "glwcupd"]),
    ("tekton.dev", "verificationpolicies", ["glw"; 4]),
    ("toolchain.dev.openshift.com", "spacebindingrequests", ["", "", "", "glwcupd"]),
];

/// What not even an admin may: verb, group, resource. All that is inside a pod, what services say of themselves, and
/// whatever would widen rights.
const NEVER: &[(&str, &str, &str)] = &[
    ("create", "", "pods/exec"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/attach"),
    ("get", "", "pods/attach"),
    ("create", "", "pods/portforward"),
    ("get", "", "pods/proxy"),
    ("patch", "", "pods/ephemeralcontainers"),
    ("update", "", "pods/ephemeralcontainers"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("patch", "tekton.dev", "pipelineruns/status"),
    ("update", "tekton.dev", "pipelineruns/status"),
    ("patch", "tekton.dev", "taskruns/status"),
    ("patch", "tekton.dev", "taskruns"),
    ("patch", "appstudio.redhat.com", "snapshots/status"),
    ("patch", "appstudio.redhat.com", "releases/status"),
    ("patch", "appstudio.redhat.com", "imagerepositories/status"),
    ("patch", "appstudio.redhat.com", "components/status"),
    ("create", "", "serviceaccounts"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    ("create", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("patch", "rbac.authorization.k8s.io", "rolebindings"),
    ("delete", "rbac.authorization.k8s.io", "rolebindings"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("patch", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("patch", "", "resourcequotas"),
    ("delete", "", "resourcequotas"),
    ("patch", "", "limitranges"),
    ("delete", "networking.k8s.io", "networkpolicies"),
    ("create", "networking.k8s.io", "networkpolicies"),
];

/// A namespace in which the user `admin` is admin, and so on.
async fn peopled(plane: &'static ControlPlane) -> anyhow::Result<testkit::Namespace<'static>> {
    let namespace = plane.namespace("roles").await?;
    for role in ROLES {
        bind(plane, &namespace, role).await?;
    }
    Ok(namespace)
}

async fn bind(plane: &ControlPlane, namespace: &str, role: &str) -> anyhow::Result<()> {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": role},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": format!("appstudio-{role}-user-actions"),
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
    }))?;
    Api::namespaced(plane.admin(), namespace).create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// A client that is this user, without any group.
fn client_of(plane: &ControlPlane, user: &str) -> anyhow::Result<Client> {
    let mut config = plane.admin_config();
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(Client::try_from(config)?)
}

/// What is asked of the API server.
#[derive(Clone, Debug)]
struct Question {
    user: String,
    verb: &'static str,
    group: &'static str,
    /// With the subresource behind a slash.
    resource: &'static str,
}

async fn is_allowed(client: &Client, namespace: &str, question: &Question) -> anyhow::Result<bool> {
    let (resource, subresource) = match question.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (question.resource, None),
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(question.user.clone()),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some(question.verb.to_owned()),
                group: Some(question.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.context("an answer has a status")?.allowed)
}

#[tokio::test]
async fn each_role_may_exactly_what_the_table_says() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let (client, namespace) = (plane.admin(), peopled(plane).await?);
    let parallel = Arc::new(Semaphore::new(16));
    let mut questions = JoinSet::new();
    for (group, resource, granted) in TABLE {
        for (role, letters) in ROLES.iter().zip(granted) {
            for (letter, verb) in VERBS {
                let question = Question { user: (*role).to_owned(), verb, group, resource };
                let (client, namespace, parallel) = (client.clone(), namespace.to_string(), parallel.clone());
                questions.spawn(async move {
                    let _permit = parallel.acquire().await?;
                    let answer = is_allowed(&client, &namespace, &question).await?;
                    anyhow::Ok((answer == letters.contains(letter), answer, question))
                });
            }
        }
    }
    let mut wrong = Vec::new();
    while let Some(answer) = questions.join_next().await {
        let (is_right, answer, Question { user, verb, group, resource }) = answer??;
        if !is_right {
            wrong
                .push(format!("{user} {} {verb} {resource}.{group}", if answer { "may" } else { "may not" }));
        }
    }
    assert!(wrong.is_empty(), "not as in the table:\n{}", wrong.join("\n"));
    Ok(())
}

/// Also what the matrix does not ask: no wildcard, no verb or resource beside the table.
#[tokio::test]
async fn no_role_grants_what_is_not_in_the_table() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let roles: Api<ClusterRole> = Api::all(plane.admin());
    let table: BTreeMap<(&str, &str), [&str; 4]> =
        TABLE.iter().map(|(group, resource, granted)| ((*group, *resource), *granted)).collect();
    for (index, role) in ROLES.into_iter().enumerate() {
        for rule in roles.get(&format!("appstudio-{role}-user-actions")).await?.rules.into_iter().flatten() {
            // The one rule for single objects: the accounts to which an admin links Secrets.
            if let Some(names) = rule.resource_names {
                assert_eq!((role, rule.resources), ("admin", Some(vec!["serviceaccounts".to_owned()])));
                assert_eq!(names, ["appstudio-pipeline", "release-service-account"]);
                assert_eq!(rule.verbs, ["patch", "update"]);
                continue;
            }
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let row = table.get(&(group.as_str(), resource.as_str()));
                    let row =
                        row.with_context(|| format!("{role}: {resource}.{group} is not in the table"))?;
                    for verb in &rule.verbs {
                        let letter = VERBS.iter().find(|(_, known)| known == verb).map(|(letter, _)| *letter);
                        let is_known = letter.is_some_and(|letter| row[index].contains(letter));
                        ensure!(is_known, "{role}: {verb} {resource}.{group} is not in the table");
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn each_role_includes_those_below_it() {
    for (_, resource, granted) in TABLE {
        for pair in granted.windows(2) {
            assert!(pair[0].chars().all(|letter| pair[1].contains(letter)), "{resource}: {granted:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_that_tenants_have_can_be_seen() -> anyhow::Result<()> {
    /// In namespaces of services only.
    const OF_SERVICES: [&str; 2] = ["internalservicesconfigs", "releaseserviceconfigs"];
    let seen: BTreeSet<(&str, &str)> = TABLE
        .iter()
        .filter(|(_, _, granted)| granted[0] == "glw")
        .map(|(group, resource, _)| (*group, *resource))
        .collect();
    let mut kinds = 0;
    for folder in std::fs::read_dir(repository().join("deploy/kustomize/crds"))? {
        for object in testkit::manifests::read(&folder?.path()).await? {
            let definition: CustomResourceDefinition = serde_json::from_value(serde_json::to_value(object)?)?;
            let (group, plural) = (definition.spec.group, definition.spec.names.plural);
            if definition.spec.scope == "Namespaced" && !OF_SERVICES.contains(&plural.as_str()) {
                kinds += 1;
                ensure!(
                    seen.contains(&(group.as_str(), plural.as_str())),
                    "{plural}.{group} is in no role: add it to components/tenant-roles and to the table here"
                );
            }
        }
    }
    ensure!(kinds >= 18, "only {kinds} kinds found");
    Ok(())
}

#[tokio::test]
async fn some_things_not_even_an_admin_may() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let (client, namespace) = (plane.admin(), peopled(plane).await?);
    for (verb, group, resource) in NEVER {
        let question = Question { user: "admin".to_owned(), verb, group, resource };
        let answer = is_allowed(&client, &namespace, &question).await?;
        assert!(!answer, "an admin may {verb} {resource}.{group}");
    }
    // Exec is refused as such, not because there is no such pod.
    let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/any/exec?command=sh"));
    let outcome = client_of(plane, "admin")?.request_text(request.body(Vec::new())?).await;
    assert_forbidden(outcome, "pods/exec")
}

/// That a request was refused for want of rights, naming the resource.
fn assert_forbidden<T>(outcome: kube::Result<T>, resource: &str) -> anyhow::Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if status.is_forbidden() && status.message.contains(resource) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{resource}: refused for another reason")),
        Ok(_) => anyhow::bail!("{resource}: allowed"),
    }
}

#[tokio::test]
async fn nobody_may_anything_in_another_tenants_namespace() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let (client, _own) = (plane.admin(), peopled(plane).await?);
    let other = plane.namespace("other").await?;
    // The strongest: what it may not, the others may not either.
    for (group, resource, _) in TABLE {
        for verb in ["get", "create"] {
            let question = Question { user: "admin".to_owned(), verb, group, resource };
            let answer = is_allowed(&client, &other, &question).await?;
            assert!(!answer, "an admin may {verb} {resource}.{group} of another tenant");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_admin_works_but_cannot_widen_their_rights() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = peopled(plane).await?;
    let admin = client_of(plane, "admin")?;
    let post = PostParams::default();
    let components = components_as(admin.clone(), &namespace);
    components.create(&post, &component("new", &json!({}))?).await.context("an admin creates a Component")?;
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), &namespace);
    secrets.create(&post, &builders::secret(&namespace, "token", [("a", "b")])).await?;

    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), &namespace);
    let mut own = bindings.get("admin").await.context("an admin sees who has which role")?;
    own.metadata = ObjectMeta { name: Some("more".to_owned()), ..ObjectMeta::default() };
    own.role_ref.name = "cluster-admin".to_owned();
    assert_forbidden(bindings.create(&post, &own).await, "rolebindings")?;
    let more = Patch::Merge(json!({"subjects": []}));
    assert_forbidden(bindings.patch("viewer", &PatchParams::default(), &more).await, "rolebindings")?;
    let privileged =
        Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}));
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    assert_forbidden(namespaces.patch(&namespace, &PatchParams::default(), &privileged).await, "namespaces")?;

    // Of the accounts, those that runs have are theirs to link Secrets to.
    for account in ["appstudio-pipeline", "other"] {
        let account = builders::service_account(&namespace, account);
        Api::<ServiceAccount>::namespaced(plane.admin(), &namespace).create(&post, &account).await?;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, &namespace);
    let link = Patch::Merge(json!({"secrets": [{"name": "token"}]}));
    accounts.patch("appstudio-pipeline", &PatchParams::default(), &link).await?;
    assert_forbidden(accounts.patch("other", &PatchParams::default(), &link).await, "serviceaccounts")?;

    let seen: Api<ConfigMap> = Api::namespaced(client_of(plane, "viewer")?, &namespace);
    assert_forbidden(seen.get("kube-root-ca.crt").await, "configmaps")
}

/// What the accounts of runs may: component, account, verb, group, resource, answer.
#[rstest]
#[case::build_reads_a_secret_by_name("tenant", "appstudio-pipeline", "get", "", "secrets", true)]
#[case::build_finds_no_secrets("tenant", "appstudio-pipeline", "list", "", "secrets", false)]
#[case::build_reads_policies(
    "tenant",
    "appstudio-pipeline",
    "get",
    "appstudio.redhat.com",
    "enterprisecontractpolicies",
    true
)]
#[case::build_says_nothing_of_runs(
    "tenant",
    "appstudio-pipeline",
    "patch",
    "tekton.dev",
    "pipelineruns/status",
    false
)]
#[case::build_releases_nothing(
    "tenant",
    "appstudio-pipeline",
    "create",
    "appstudio.redhat.com",
    "releases",
    false
)]
#[case::own_release_reads_what_it_releases(
    "tenant",
    "appstudio-pipeline",
    "get",
    "appstudio.redhat.com",
    "snapshots",
    true
)]
#[case::own_release_says_not_who_answers_for_it(
    "tenant",
    "appstudio-pipeline",
    "patch",
    "appstudio.redhat.com",
    "releases/status",
    false
)]
#[case::unnamed_account_reads_no_credentials(
    "managed-tenant",
    "appstudio-pipeline",
    "get",
    "",
    "secrets",
    false
)]
#[case::release_reads_credentials("managed-tenant", "release-service-account", "get", "", "secrets", true)]
#[case::release_reports(
    "managed-tenant",
    "release-service-account",
    "patch",
    "appstudio.redhat.com",
    "releases/status",
    true
)]
#[case::release_asks_internal(
    "managed-tenant",
    "release-service-account",
    "create",
    "appstudio.redhat.com",
    "internalrequests",
    true
)]
#[case::release_admits_nothing(
    "managed-tenant",
    "release-service-account",
    "patch",
    "appstudio.redhat.com",
    "releaseplanadmissions",
    false
)]
#[tokio::test]
async fn runs_may(
    #[case] component: &str,
    #[case] account: &str,
    #[case] verb: &'static str,
    #[case] group: &'static str,
    #[case] resource: &'static str,
    #[case] allowed: bool,
) -> anyhow::Result<()> {
    let (plane, namespace) = tenancy::made(component).await?;
    let question = Question { user: user_name(namespace, account), verb, group, resource };
    assert_eq!(is_allowed(&plane.admin(), namespace, &question).await?, allowed);
    let other = plane.namespace("other").await?;
    assert!(!is_allowed(&plane.admin(), &other, &question).await?, "also in another namespace");
    Ok(())
}
