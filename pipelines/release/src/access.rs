//! `verify-access`: whether the account of the run may do what the run will do, asked before it does anything.

use anyhow::ensure;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use crate::cluster::{Cluster, Named, patiently};
use crate::context::{Context, Flag, say};

const GROUP: &str = "appstudio.redhat.com";

/// Fails, saying what is refused, unless the account may read the objects of a release.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Release, as <namespace>/<name>. Of each object: empty if the pipeline has none.
    #[arg(long)]
    release: Named,
    #[arg(long)]
    release_plan: Named,
    #[arg(long, default_value = "")]
    release_plan_admission: Named,
    #[arg(long, default_value = "")]
    release_service_config: Named,
    #[arg(long)]
    snapshot: Named,
    /// Whether the account must be able to create InternalRequests in the namespace of the admission.
    #[arg(long, default_value = "false")]
    require_internal_services: Flag,
}

/// One thing that the account has to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    verb: &'static str,
    resource: &'static str,
    namespace: String,
    /// Empty means all.
    name: String,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, resource, namespace, name } = self;
        let name = if name.is_empty() { "*" } else { name };
        write!(f, "{verb:<6} {resource:<22} {namespace}/{name}")
    }
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let needs = needs(&args)?;
    let cluster = context.cluster().await?;
    let mut refused = Vec::new();
    for need in needs {
        let allowed = is_allowed(&cluster, &need).await?;
        say(&format!("{:<3} {need}", if allowed { "yes" } else { "no" }));
        if !allowed {
            refused.push(need.to_string().split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    ensure!(
        refused.is_empty(),
        "the account of this run may not: {}. Does the ReleasePlanAdmission name the account that is meant, and is it bound \
         to ClusterRole release-pipeline-resource-role in its own namespace?",
        refused.join(", ")
    );
    Ok(())
}

/// In the order in which a run will do them.
fn needs(args: &Args) -> anyhow::Result<Vec<Need>> {
    let read = [
        ("releases", &args.release),
        ("releaseplans", &args.release_plan),
        ("releaseplanadmissions", &args.release_plan_admission),
        ("releaseserviceconfigs", &args.release_service_config),
        ("snapshots", &args.snapshot),
    ];
    let named = read.into_iter().filter_map(|(resource, named)| Some((resource, named.0.as_ref()?)));
    let mut needs: Vec<Need> = named
        .map(|(resource, key)| Need {
            verb: "get",
            resource,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
        .collect();
    ensure!(!needs.is_empty(), "no object is named: give --release, --release-plan and --snapshot");
    if args.require_internal_services.0 {
        let admission = args.release_plan_admission.0.as_ref();
        let Some(admission) = admission else {
            anyhow::bail!(
                "requireInternalServices is true and releasePlanAdmission is empty: requests are made in the namespace of \
                 an admission"
            )
        };
        needs.push(Need {
            verb: "create",
            resource: "internalrequests",
            namespace: admission.namespace.clone(),
            name: String::new(),
        });
    }
    Ok(needs)
}

async fn is_allowed(cluster: &Cluster, need: &Need) -> anyhow::Result<bool> {
    let attributes = ResourceAttributes {
        verb: Some(need.verb.to_owned()),
        group: Some(GROUP.to_owned()),
        resource: Some(need.resource.to_owned()),
        namespace: Some(need.namespace.clone()),
        name: Some(need.name.clone()).filter(|name| !name.is_empty()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client());
    let answer = patiently("ask what the account may do", async || {
        reviews.create(&PostParams::default(), &review).await
    })
    .await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(further: &[&str]) -> Args {
        let flags = ["x", "--release=t/r", "--release-plan=t/p", "--snapshot=t/s"];
        Command::try_parse_from(flags.iter().chain(further)).unwrap().args
    }

    #[rstest]
    #[case::tenant(&[], &["get releases t/r", "get releaseplans t/p", "get snapshots t/s"])]
    #[case::managed(
        &["--release-plan-admission=m/a", "--release-service-config=s/c"],
        &["get releases t/r", "get releaseplans t/p", "get releaseplanadmissions m/a", "get releaseserviceconfigs s/c", "get snapshots t/s"]
    )]
    #[case::with_internal_services(
        &["--release-plan-admission=m/a", "--require-internal-services=true"],
        &["get releases t/r", "get releaseplans t/p", "get releaseplanadmissions m/a", "get snapshots t/s", "create internalrequests m/*"]
    )]
    fn asks_for_what_the_run_will_do(#[case] further: &[&str], #[case] expected: &[&str]) {
        let words = |need: &Need| need.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let needs: Vec<String> = needs(&args(further)).unwrap().iter().map(words).collect();
        assert_eq!(needs, expected);
    }

    #[test]
    fn requests_need_a_namespace() {
        let error = needs(&args(&["--require-internal-services=true"])).unwrap_err().to_string();
        assert!(error.contains("releasePlanAdmission is empty"), "{error}");
    }
}
