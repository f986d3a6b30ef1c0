//! Each rule passes once and fails once, with the words that people and tools look for.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::KINDS;
use crate::fixtures::{
    application, binding, component, detection, environment, image_component, promotion, snapshot,
};

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

fn git(field: &str, value: &str) -> Value {
    json!({ "spec": { "source": { "git": { field: value } } } })
}

const NAME_RULE: &str = "metadata.name must be a DNS-1035 label";
/// Between the two, API servers before 1.35 name the type of the value, later ones the value.
const NEEDS_HTTPS: [&str; 2] =
    ["spec.source.git.url: Invalid value: ", "must be an absolute URL with the https scheme"];
const CARRIES_SECRET: &str = "must not carry a user, token or password";
const LEAVES_REPOSITORY: &str = "must not contain '..' segments";
const IS_OPTION: &str = "must not begin with '-'";
const NO_SOURCE: &str = "a git source or an image source must be specified";

#[rstest]
#[case::as_is(json!({}), &[])]
#[case::name_with_digits_and_dashes(named("a-1"), &[])]
#[case::name_of_63(named(&"a".repeat(63)), &[])]
#[case::name_of_64(named(&"a".repeat(64)), &["invalid application name: aaaa", NAME_RULE])]
#[case::name_begins_with_digit(named("1app"), &["invalid application name: 1app", NAME_RULE])]
#[case::name_in_upper_case(named("App"), &["invalid application name: App", NAME_RULE])]
#[case::name_with_dot(named("a.b"), &["invalid application name: a.b", NAME_RULE])]
#[case::no_display_name(json!({"spec": {"displayName": null}}), &["spec.displayName: Required value"])]
#[case::no_spec(json!({"spec": null}), &["spec.displayName: Required value"])]
#[case::repository_without_url(
    json!({"spec": {"gitOpsRepository": {"branch": "main"}}}), &["spec.gitOpsRepository.url: Required value"]
)]
#[case::empty_display_name(json!({"spec": {"displayName": ""}}), &["spec.displayName", "display name missing"])]
#[case::empty_repositories_as_go_clients_send_them(
    json!({"spec": {"appModelRepository": {"url": ""}, "gitOpsRepository": {"url": ""}}}), &[]
)]
#[tokio::test]
async fn application_is_created(#[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(application(), &patch)).await.unwrap(), expected);
}

#[rstest]
#[case::as_is(json!({}), &[])]
#[case::empty_git_url_and_no_image(git("url", ""), &[NO_SOURCE])]
#[case::no_git_url(json!({"spec": {"source": {"git": {"url": null}}}}), &["spec.source.git.url: Required value", NO_SOURCE])]
#[case::no_source(json!({"spec": {"source": null}}), &[NO_SOURCE])]
#[case::empty_source_and_image(json!({"spec": {"source": null, "containerImage": ""}}), &[NO_SOURCE])]
#[case::image_only(json!({"spec": {"source": null, "containerImage": "images.example.com/a"}}), &[])]
#[case::versions_only(json!({"spec": {"source": {"git": null, "url": "https://git.example.com/a"}}}), &[])]
#[case::versions_by_http(
    json!({"spec": {"source": {"url": "http://git.example.com/a"}}}), &["spec.source.url", "https scheme"]
)]
#[case::versions_with_token(json!({"spec": {"source": {"url": "https://t@git.example.com/a"}}}), &[CARRIES_SECRET])]
#[case::name_begins_with_digit(named("1c"), &["invalid component name: 1c", NAME_RULE])]
#[case::no_component_name(json!({"spec": {"componentName": null}}), &["spec.componentName: Required value"])]
#[case::component_name_of_63(json!({"spec": {"componentName": "1".repeat(63)}}), &[])]
#[case::component_name_of_64(json!({"spec": {"componentName": "1".repeat(64)}}), &["spec.componentName: Too long"])]
#[case::component_name_in_upper_case(json!({"spec": {"componentName": "A"}}), &["spec.componentName", "should match"])]
#[case::no_application(json!({"spec": {"application": null}}), &["spec.application: Required value"])]
#[case::application_in_upper_case(json!({"spec": {"application": "A"}}), &["spec.application", "should match"])]
#[case::url_with_port_and_upper_case_scheme(git("url", "HTTPS://git.example.com:8443/a.git"), &[])]
#[case::url_by_http(git("url", "http://git.example.com/a"), &NEEDS_HTTPS)]
#[case::url_by_ssh(git("url", "ssh://git@git.example.com/a"), &NEEDS_HTTPS)]
#[case::url_of_a_file(git("url", "file:///etc/passwd"), &NEEDS_HTTPS)]
#[case::url_as_scp_writes_it(git("url", "git@git.example.com:a/b"), &NEEDS_HTTPS)]
#[case::url_without_scheme(git("url", "git.example.com/a"), &NEEDS_HTTPS)]
#[case::url_without_host(git("url", "https:///a"), &NEEDS_HTTPS)]
#[case::url_with_port_only(git("url", "https://:443/a"), &NEEDS_HTTPS)]
#[case::url_with_space(git("url", "https://git.example.com/a b"), &NEEDS_HTTPS)]
#[case::url_with_line_break(git("url", "https://git.example.com/a\n"), &NEEDS_HTTPS)]
#[case::url_with_token(git("url", "https://token@git.example.com/a"), &[CARRIES_SECRET])]
#[case::url_with_password(git("url", "https://me:secret@git.example.com/a"), &[CARRIES_SECRET])]
#[case::at_sign_in_path(git("url", "https://git.example.com/@me/a"), &[])]
#[case::context_is_root(git("context", "/"), &[])]
#[case::context_is_here(git("context", "./"), &[])]
#[case::context_with_dots_in_a_name(git("context", "a/b..c/..d"), &[])]
#[case::context_leaves(git("context", "../../etc"), &["spec.source.git.context", LEAVES_REPOSITORY])]
#[case::context_leaves_in_the_middle(git("context", "a/../../b"), &[LEAVES_REPOSITORY])]
#[case::context_leaves_at_the_end(git("context", "a/.."), &[LEAVES_REPOSITORY])]
#[case::context_is_an_option(git("context", "-C/etc"), &["spec.source.git.context", IS_OPTION])]
#[case::revision_of_a_branch(git("revision", "feature/a-b"), &[])]
#[case::revision_is_an_option(git("revision", "--upload-pack=x"), &["spec.source.git.revision", IS_OPTION])]
#[case::revision_leaves(git("revision", "heads/../../x"), &["spec.source.git.revision", LEAVES_REPOSITORY])]
#[case::devfile_in_the_repository(git("devfileUrl", "docs/devfile.yaml"), &[])]
#[case::devfile_by_https(git("devfileUrl", "https://git.example.com/devfile.yaml"), &[])]
#[case::devfile_by_http(git("devfileUrl", "http://git.example.com/devfile.yaml"), &["spec.source.git.devfileUrl", "https scheme"])]
#[case::devfile_leaves(git("devfileUrl", "../devfile.yaml"), &["spec.source.git.devfileUrl", LEAVES_REPOSITORY])]
#[case::devfile_with_token(git("devfileUrl", "https://t@git.example.com/d"), &["spec.source.git.devfileUrl", CARRIES_SECRET])]
#[case::dockerfile_in_the_repository(git("dockerfileUrl", "Dockerfile"), &[])]
#[case::dockerfile_by_ftp(git("dockerfileUrl", "ftp://x/Dockerfile"), &["spec.source.git.dockerfileUrl", "https scheme"])]
#[case::dockerfile_leaves(git("dockerfileUrl", "a/../Dockerfile"), &["spec.source.git.dockerfileUrl", LEAVES_REPOSITORY])]
#[case::dockerfile_with_token(git("dockerfileUrl", "https://t@h/d"), &["spec.source.git.dockerfileUrl", CARRIES_SECRET])]
#[case::nudges_others(json!({"spec": {"build-nudges-ref": ["a", "b"]}}), &[])]
#[case::nudges_itself(
    json!({"spec": {"build-nudges-ref": ["a", "valid"]}}),
    &["spec.build-nudges-ref", "cycle detected: component valid must not nudge itself"]
)]
#[case::value_from_is_for_the_controller(
    json!({"spec": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}}), &[]
)]
#[case::quantity_as_number(json!({"spec": {"resources": {"limits": {"cpu": 1}}}}), &[])]
#[case::replicas_as_text(json!({"spec": {"replicas": "1"}}), &["spec.replicas"])]
#[case::empty_structs_as_go_clients_send_them(json!({"spec": {"resources": {}, "env": null}}), &[])]
#[tokio::test]
async fn component_is_created(#[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(component(), &patch)).await.unwrap(), expected);
}

#[rstest]
#[case::detection(detection(), &[])]
#[case::detection_without_url(with(detection(), &json!({"spec": {"git": {"url": null}}})), &["spec.git.url: Required value"])]
#[case::detection_by_http(
    with(detection(), &json!({"spec": {"git": {"url": "http://git.example.com/a"}}})), &["spec.git.url", "https scheme"]
)]
#[case::detection_outside(
    with(detection(), &json!({"spec": {"git": {"context": "../../etc"}}})), &["spec.git.context", LEAVES_REPOSITORY]
)]
#[case::snapshot(snapshot(), &[])]
#[case::snapshot_without_application(with(snapshot(), &json!({"spec": {"application": null}})), &["spec.application: Required"])]
#[case::snapshot_of_a_group(with(snapshot(), &json!({"spec": {"application": null, "componentGroup": "g"}})), &[])]
#[case::snapshot_without_image(
    with(snapshot(), &json!({"spec": {"components": [{"name": "a"}]}})), &["spec.components[0].containerImage: Required"]
)]
#[case::environment(environment(), &[])]
#[case::environment_with_dot(with(environment(), &named("a.b")), &["invalid environment name: a.b", "DNS-1123 label"])]
#[case::environment_with_digit_first(with(environment(), &named("1a")), &[])]
#[case::environment_with_other_strategy(with(environment(), &json!({"spec": {"deploymentStrategy": "Other"}})), &[])]
#[case::environment_without_strategy(
    with(environment(), &json!({"spec": {"deploymentStrategy": null}})), &["spec.deploymentStrategy: Required"]
)]
#[case::environment_of_other_type(with(environment(), &json!({"spec": {"type": "Other"}})), &["spec.type: Unsupported"])]
#[case::environment_on_other_cluster(
    with(environment(), &json!({"spec": {"unstableConfigurationFields": {"clusterType": "Other"}}})),
    &["spec.unstableConfigurationFields.clusterType: Unsupported"]
)]
#[case::kubernetes_without_domain(
    with(environment(), &json!({"spec": {"unstableConfigurationFields": {"clusterType": "Kubernetes"}}})),
    &["ingress domain cannot be empty if cluster is of type Kubernetes"]
)]
#[case::kubernetes_with_domain(with(environment(), &cluster("Kubernetes", "apps.example.com", "https://c")), &[])]
#[case::openshift_without_domain(with(environment(), &cluster("OpenShift", "", "")), &[])]
#[case::domain_in_upper_case(
    with(environment(), &cluster("OpenShift", "Apps", "https://c")), &["invalid ingress domain: Apps"]
)]
#[case::api_url_without_scheme(
    with(environment(), &cluster("OpenShift", "", "c.example.com")), &["API URL must be an absolute URL"]
)]
#[case::cluster_without_secret(
    with(with(environment(), &cluster("OpenShift", "", "")), &json!({"spec": {"unstableConfigurationFields": {
        "kubernetesCredentials": {"clusterCredentialsSecret": null}
    }}})),
    &["spec.unstableConfigurationFields.kubernetesCredentials.clusterCredentialsSecret: Required"]
)]
#[case::claim_without_name(
    with(environment(), &json!({"spec": {"configuration": {"target": {"deploymentTargetClaim": {}}}}})),
    &["spec.configuration.target.deploymentTargetClaim.claimName: Required"]
)]
#[case::binding(binding(), &[])]
#[case::binding_without_components(
    with(binding(), &json!({"spec": {"components": null}})), &["spec.components: Required"]
)]
#[case::promotion(promotion(), &[])]
#[case::promotion_without_snapshot(
    with(promotion(), &json!({"spec": {"snapshot": null}})), &["spec.snapshot: Required"]
)]
#[tokio::test]
async fn others_are_created(#[case] object: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&object).await.unwrap(), expected);
}

fn cluster(kind: &str, domain: &str, api_url: &str) -> Value {
    json!({ "spec": { "unstableConfigurationFields": {
        "clusterType": kind,
        "kubernetesCredentials": {
            "targetNamespace": "n",
            "apiURL": api_url,
            "clusterCredentialsSecret": "s",
            "allowInsecureSkipTLSVerify": false,
            "ingressDomain": domain,
        },
    } } })
}

fn spec(fields: Value) -> Value {
    json!({ "spec": fields })
}

fn with_repository() -> Value {
    with(
        application(),
        &json!({"spec": {"gitOpsRepository": {"url": "https://git.example.com/g", "branch": "main"}}}),
    )
}

#[rstest]
#[case::display_name(application(), spec(json!({"displayName": "Other"})), &[])]
#[case::display_name_gone(application(), spec(json!({"displayName": ""})), &["display name missing"])]
#[case::empty_repository_added(
    application(), spec(json!({"appModelRepository": {"url": "", "branch": ""}, "gitOpsRepository": {"url": ""}})), &[]
)]
#[case::model_repository_added(
    application(), spec(json!({"appModelRepository": {"url": "https://git.example.com/m", "context": "c"}})),
    &["spec.appModelRepository", "app model repository cannot be updated to https://git.example.com/m, context c"]
)]
#[case::gitops_repository_added(
    application(), spec(json!({"gitOpsRepository": {"url": "https://git.example.com/g"}})),
    &["spec.gitOpsRepository", "gitops repository cannot be updated to https://git.example.com/g"]
)]
#[case::gitops_repository_removed(
    with_repository(), spec(json!({"gitOpsRepository": null})), &["gitops repository cannot be updated to none"]
)]
#[case::gitops_branch_changed(
    with_repository(), spec(json!({"gitOpsRepository": {"branch": "other"}})),
    &["gitops repository cannot be updated to https://git.example.com/g, branch other"]
)]
#[case::secret_is_not_shown(
    with_repository(), spec(json!({"gitOpsRepository": {"url": "https://secret@git.example.com/g"}})),
    &["gitops repository cannot be updated to a URL with <TOKEN>"]
)]
#[case::model_name_of_component(
    component(), spec(json!({"componentName": "other"})),
    &["spec.componentName", "component name cannot be updated to other"]
)]
#[case::application_of_component(
    component(), spec(json!({"application": "other"})), &["spec.application", "application name cannot be updated to other"]
)]
#[case::git_url(
    component(), spec(json!({"source": {"git": {"url": "https://git.example.com/other"}}})),
    &["spec.source.git.url", "git source cannot be updated to https://git.example.com/other"]
)]
#[case::git_revision_context_and_image(
    component(),
    spec(json!({"source": {"git": {"revision": "next", "context": "c"}}, "containerImage": "images.example.com/a"})),
    &[]
)]
#[case::git_url_removed(
    component(), spec(json!({"source": {"git": {"url": null}}})), &["spec.source.git.url: Required value"]
)]
#[case::git_source_removed(component(), spec(json!({"source": null})), &[])]
#[case::git_source_added(
    image_component(), spec(json!({"source": {"git": {"url": "https://git.example.com/a"}}})), &[]
)]
#[case::unsafe_git_source_added(
    image_component(), spec(json!({"source": {"git": {"url": "http://git.example.com/a"}}})), &["https scheme"]
)]
#[case::begins_to_nudge_itself(component(), spec(json!({"build-nudges-ref": ["valid"]})), &["cycle detected"])]
#[case::begins_to_nudge(component(), spec(json!({"build-nudges-ref": ["other"]})), &[])]
#[case::snapshot_for_other_application(
    snapshot(), spec(json!({"application": "other"})), &["spec.application", "application field cannot be updated to other"]
)]
#[case::snapshot_with_other_images(
    snapshot(), spec(json!({"components": [{"name": "a", "containerImage": "i"}]})),
    &["spec.components", "components cannot be updated to [a=i]"]
)]
#[case::snapshot_with_many_other_images(
    snapshot(), spec(json!({"components": [
        {"name": "a", "containerImage": "i"}, {"name": "b", "containerImage": "j"}, {"name": "c", "containerImage": "k"}
    ]})),
    &["components cannot be updated to [a=i, b=j, …]"]
)]
#[case::snapshot_without_images(
    snapshot(), spec(json!({"components": null})), &["components cannot be updated to none"]
)]
#[case::snapshot_with_other_words(snapshot(), spec(json!({"displayName": "Other"})), &[])]
#[case::binding_for_other_application(
    binding(), spec(json!({"application": "other"})), &["application field cannot be updated to other"]
)]
#[case::binding_for_other_environment(
    binding(), spec(json!({"environment": "other"})), &["environment field cannot be updated to other"]
)]
#[case::binding_with_other_snapshot(
    binding(), spec(json!({"snapshot": "other", "components": [{"name": "a"}]})), &[]
)]
#[case::promotion_of_other_snapshot(
    promotion(), spec(json!({"snapshot": "other"})), &["spec cannot be updated to snapshot other of application shop"]
)]
#[tokio::test]
async fn is_updated(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.updated(&object, &patch).await.unwrap(), expected);
}
