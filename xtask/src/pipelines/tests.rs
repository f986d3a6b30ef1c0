//! What the pipelines are, against the tables of the specification (section 3), and rules that have something to find.
use pipelines_engine_api::{PipelineTask, WhenExpression};
use rstest::rstest;

use super::{catalog::refers_to, *};

fn catalog() -> Catalog {
    Catalog::read(&paths::repository().unwrap()).unwrap()
}

/// `name task:version after when | param=value … | workspace=workspace …`, as short as the tables have it.
fn line(task: &PipelineTask) -> String {
    let (name, version) = task.task_ref.as_ref().and_then(refers_to).unwrap();
    let when: Vec<_> = task.when.iter().map(condition).collect();
    let params: Vec<_> = task
        .params
        .iter()
        .map(|param| format!("{}={}", param.name, short(&serde_json::to_value(&param.value).unwrap())))
        .collect();
    let workspaces: Vec<_> =
        task.workspaces.iter().map(|bound| format!("{}={}", bound.name, bound.workspace)).collect();
    format!(
        "{} {name}:{version} <{}> [{}] {} ({})",
        task.name,
        task.run_after.join(" "),
        when.join(" "),
        params.join(" "),
        workspaces.join(" ")
    )
}

/// `build` for the result of init, else the param and its values.
fn condition(when: &WhenExpression) -> String {
    let values = when.values.join("|");
    match (when.input.as_str(), when.operator.as_str()) {
        ("$(tasks.init.results.build)", "in") => format!("build={values}"),
        (input, operator) => format!("{} {operator} {values}", short(&Value::from(input))),
    }
}

/// A value without the words that are always the same.
fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace("$(params.", "(").replace("$(tasks.", "(").replace(".results.", ".")
}

fn pipeline(name: &str) -> pipelines_engine_api::Pipeline {
    let found = catalog().pipelines.into_iter().find(|pipeline| pipeline.folder.name == name);
    found.unwrap_or_else(|| panic!("no pipeline {name}")).object
}

fn lines(name: &str) -> (Vec<String>, Vec<String>) {
    let spec = pipeline(name).spec;
    (spec.tasks.iter().map(line).collect(), spec.finally.iter().map(line).collect())
}

/// Tasks that all pipelines of the template begin with.
const BEGIN: [&str; 3] = [
    "init init:0.2 <> [] image-url=(output-image) rebuild=(rebuild) skip-checks=(skip-checks) ()",
    "clone-repository git-clone:0.1 <init> [build=true] url=(git-url) revision=(revision) \
     (output=workspace basic-auth=git-auth)",
    "prefetch-dependencies prefetch-dependencies:0.1 <clone-repository> [build=true (hermetic) in true] \
     input=(prefetch-input) (source=workspace git-basic-auth=git-auth)",
];
const BUILD: &str = "build-container buildah:0.1 <prefetch-dependencies> [build=true] IMAGE=(output-image) \
     DOCKERFILE=(dockerfile) CONTEXT=(path-context) HERMETIC=(hermetic) PREFETCH_INPUT=(prefetch-input) \
     IMAGE_EXPIRES_AFTER=(image-expires-after) COMMIT_SHA=(clone-repository.commit) BUILD_ARGS_FILE=(build-args-file) \
     (source=workspace)";
const SOURCE: &str = "build-source-image source-build:0.1 <build-container> [build=true (build-source-image) in true] \
     BINARY_IMAGE=(output-image) BASE_IMAGES=(build-container.BASE_IMAGES_DIGESTS) (workspace=workspace)";
const DEPRECATED: &str = "deprecated-base-image-check deprecated-image-check:0.4 <build-container> \
     [(skip-checks) in false] BASE_IMAGES_DIGESTS=(build-container.BASE_IMAGES_DIGESTS) \
     IMAGE_URL=(build-container.IMAGE_URL) IMAGE_DIGEST=(build-container.IMAGE_DIGEST) ()";
const CLAIR: &str = "clair-scan clair-scan:0.1 <build-container> [(skip-checks) in false] \
     image-digest=(build-container.IMAGE_DIGEST) image-url=(build-container.IMAGE_URL) ()";
const PREFLIGHT: &str = "ecosystem-cert-preflight-checks ecosystem-cert-preflight-checks:0.1 <build-container> \
     [(skip-checks) in false] image-url=(build-container.IMAGE_URL) ()";
const SNYK: &str = "sast-snyk-check sast-snyk-check:0.1 <clone-repository> [(skip-checks) in false]  \
     (workspace=workspace)";
const CLAMAV: &str = "clamav-scan clamav-scan:0.1 <build-container> [(skip-checks) in false] \
     image-digest=(build-container.IMAGE_DIGEST) image-url=(build-container.IMAGE_URL) ()";
const SBOM: &str = "sbom-json-check sbom-json-check:0.1 <build-container> [(skip-checks) in false] \
     IMAGE_URL=(build-container.IMAGE_URL) IMAGE_DIGEST=(build-container.IMAGE_DIGEST) ()";
const SHOW: &str = "show-sbom show-sbom:0.1 <> [] IMAGE_URL=(build-container.IMAGE_URL) ()";
const SUMMARY: &str = "show-summary summary:0.2 <> [] pipelinerun-name=$(context.pipelineRun.name) \
     git-url=(clone-repository.url)?rev=(clone-repository.commit) image-url=(output-image) \
     build-task-status=(build-container.status) (workspace=workspace)";

fn s2i(task: &str) -> String {
    format!(
        "build-container {task}:0.1 <prefetch-dependencies> [build=true] PATH_CONTEXT=(path-context) \
         IMAGE=(output-image) IMAGE_EXPIRES_AFTER=(image-expires-after) COMMIT_SHA=(clone-repository.commit) \
         (source=workspace)"
    )
}

/// Acceptance scenario 1.
#[test]
fn pipelines_of_the_template_have_its_tasks_in_its_order() {
    let checks = [DEPRECATED, CLAIR, PREFLIGHT, SNYK, CLAMAV, SBOM];
    let (java, node) = (s2i("s2i-java"), s2i("s2i-nodejs"));
    for (name, build) in [("docker-build", BUILD), ("java-builder", &java), ("nodejs-builder", &node)] {
        let (tasks, last) = lines(name);
        let expected: Vec<&str> = BEGIN.into_iter().chain([build, SOURCE]).chain(checks).collect();
        assert_eq!(tasks, expected, "{name}");
        assert_eq!(last, [SHOW, SUMMARY], "{name}");
    }
}

#[test]
fn tekton_bundle_builder_keeps_its_malware_scan() {
    let (tasks, last) = lines("tekton-bundle-builder");
    let build = "build-container tkn-bundle:0.1 <prefetch-dependencies> [build=true] IMAGE=(output-image) \
                 CONTEXT=(path-context) (source=workspace)";
    let expected: Vec<&str> = BEGIN.into_iter().chain([build, CLAIR, PREFLIGHT, SNYK, CLAMAV]).collect();
    assert_eq!(tasks, expected);
    assert_eq!(last, [SUMMARY]);
}

#[rstest]
#[case::docker_build("docker-build", "docker generic", "JAVA_COMMUNITY_DEPENDENCIES")]
#[case::java_builder("java-builder", "s2i java", "JAVA_COMMUNITY_DEPENDENCIES")]
#[case::nodejs_builder("nodejs-builder", "s2i nodejs", "")]
#[case::fbc_builder("fbc-builder", "fbc fbc", "")]
#[case::tekton_bundle_builder("tekton-bundle-builder", "docker generic", "")]
#[case::docker_build_rhtap("docker-build-rhtap", "docker generic", "ACS_SCAN_OUTPUT")]
#[case::docker_build_oci_ta(
    "docker-build-oci-ta",
    "docker generic",
    "JAVA_COMMUNITY_DEPENDENCIES SBOM_BLOB_URL"
)]
fn results_and_labels_are_those_of_the_specification(
    #[case] name: &str,
    #[case] strategy_and_runtime: &str,
    #[case] further: &str,
) {
    let pipeline = pipeline(name);
    let labels = pipeline.metadata.labels.unwrap_or_default();
    let label = |key: &str| labels.get(&format!("pipelines.openshift.io/{key}")).map(String::as_str);
    assert_eq!(label("used-by"), Some("build-cloud"));
    let found = [label("strategy").unwrap_or_default(), label("runtime").unwrap_or_default()];
    assert_eq!(found.join(" "), strategy_and_runtime);
    let results: Vec<_> = pipeline.spec.results.iter().map(|result| &*result.name).collect();
    let common = ["IMAGE_URL", "IMAGE_DIGEST", "CHAINS-GIT_URL", "CHAINS-GIT_COMMIT"];
    let expected: Vec<_> = common.into_iter().chain(further.split_whitespace()).collect();
    assert_eq!(results, expected);
    let params: Vec<_> = pipeline.spec.params.iter().map(|param| &*param.name).collect();
    let template = [
        "git-url",
        "revision",
        "output-image",
        "path-context",
        "dockerfile",
        "rebuild",
        "skip-checks",
        "hermetic",
        "prefetch-input",
        "java",
        "image-expires-after",
        "build-source-image",
    ];
    assert_eq!(&params[..template.len()], template);
}

#[rstest]
#[case::fbc_builder(
    "fbc-builder",
    "init clone-repository build-container clamav-scan sbom-json-check inspect-image fbc-validate \
     fbc-related-image-check"
)]
#[case::docker_build_rhtap(
    "docker-build-rhtap",
    "init clone-repository build-container acs-image-check acs-image-scan update-deployment acs-deploy-check"
)]
#[case::docker_build_oci_ta(
    "docker-build-oci-ta",
    "init clone-repository prefetch-dependencies build-container build-image-index build-source-image \
     deprecated-base-image-check clair-scan ecosystem-cert-preflight-checks sast-snyk-check clamav-scan \
     sast-shell-check sast-unicode-check sbom-json-check apply-tags push-dockerfile"
)]
#[case::docker_build_multi_platform_oci_ta(
    "docker-build-multi-platform-oci-ta",
    "init clone-repository prefetch-dependencies build-container build-image-index build-source-image \
     deprecated-base-image-check clair-scan ecosystem-cert-preflight-checks sast-snyk-check clamav-scan \
     sast-shell-check sast-unicode-check sbom-json-check apply-tags push-dockerfile"
)]
fn variants_have_their_tasks_in_order(#[case] name: &str, #[case] tasks: &str) {
    let spec = pipeline(name).spec;
    let found: Vec<_> = spec.tasks.iter().map(|task| &*task.name).collect();
    assert_eq!(found, tasks.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn default_pipeline_has_no_volume_and_every_check_sees_what_was_joined() {
    let spec = pipeline("docker-build-oci-ta").spec;
    assert!(spec.workspaces.iter().all(|workspace| workspace.optional), "only the login to Git");
    for task in spec.tasks.iter().chain(&spec.finally) {
        let bound: Vec<_> = task.workspaces.iter().map(|bound| &*bound.workspace).collect();
        assert!(bound.is_empty() || bound == ["git-auth"], "task {} shares {bound:?}", task.name);
    }
    let scan = spec.tasks.iter().find(|task| task.name == "clair-scan").unwrap();
    assert!(line(scan).contains("image-digest=(build-image-index.IMAGE_DIGEST)"), "{}", line(scan));
}

#[test]
fn scenario_of_the_policy_hands_all_that_can_be_set_on_to_its_task() {
    let catalog = catalog();
    let spec = pipeline("enterprise-contract").spec;
    let [verify] = &spec.tasks[..] else { panic!("one task judges") };
    let (name, version) = verify.task_ref.as_ref().and_then(refers_to).unwrap();
    let task = &catalog.task(&name, &version).unwrap().object.spec;
    let given = |name: &str| verify.params.iter().find(|param| param.name == name)?.value.as_str();
    assert_eq!(given("IMAGES"), Some("$(params.SNAPSHOT)"), "what a scenario's runs are given");
    assert_eq!(spec.params[0].name, "SNAPSHOT");
    for param in &spec.params[1..] {
        let of_task = task.params.iter().find(|of_task| of_task.name == param.name);
        let of_task = of_task.unwrap_or_else(|| panic!("the task has no param {}", param.name));
        assert_eq!(param.default, of_task.default, "{}", param.name);
        assert_eq!(given(&param.name), Some(&*format!("$(params.{})", param.name)));
    }
    // A folder of the task's pod is nothing that a scenario could know.
    let unknown = task.params.iter().filter(|param| given(&param.name).is_none());
    assert_eq!(unknown.map(|param| &*param.name).collect::<Vec<_>>(), ["HOMEDIR"]);
}

#[test]
fn sizes_differ_in_the_memory_of_the_build_alone() {
    let catalog = catalog();
    let task = |name: &str| catalog.task(name, "0.1").unwrap().content.clone();
    for size in ["6", "8", "10", "20", "24"] {
        let mut other = task(&format!("buildah-{size}gb"));
        let build = &mut other["spec"]["steps"][0];
        assert_eq!(build["computeResources"]["limits"]["memory"], format!("{size}Gi"));
        build["computeResources"]["limits"]["memory"] = "4Gi".into();
        other["metadata"]["name"] = "buildah".into();
        assert_eq!(other, task("buildah"), "buildah-{size}gb");
    }
}

/// What a task of the specification takes and gives, section 4.
#[rstest]
#[case::init("init", "0.2", "image-url rebuild skip-checks", "build")]
#[case::git_clone(
    "git-clone",
    "0.1",
    "url revision refspec submodules depth sslVerify subdirectory sparseCheckoutDirectories deleteExisting httpProxy \
     httpsProxy noProxy verbose gitInitImage userHome enableSymlinkCheck fetchTags",
    "commit url"
)]
#[case::buildah(
    "buildah",
    "0.1",
    "IMAGE BUILDER_IMAGE DOCKERFILE CONTEXT TLSVERIFY DOCKER_AUTH HERMETIC PREFETCH_INPUT IMAGE_EXPIRES_AFTER \
     COMMIT_SHA YUM_REPOS_D_SRC YUM_REPOS_D_FETCHED YUM_REPOS_D_TARGET TARGET_STAGE ENTITLEMENT_SECRET \
     BUILD_ARGS_FILE",
    "IMAGE_DIGEST IMAGE_URL BASE_IMAGES_DIGESTS SBOM_JAVA_COMPONENTS_COUNT JAVA_COMMUNITY_DEPENDENCIES"
)]
#[case::s2i_java(
    "s2i-java",
    "0.1",
    "BASE_IMAGE PATH_CONTEXT TLSVERIFY IMAGE BUILDER_IMAGE DOCKER_AUTH IMAGE_EXPIRES_AFTER COMMIT_SHA",
    "IMAGE_DIGEST IMAGE_URL BASE_IMAGES_DIGESTS SBOM_JAVA_COMPONENTS_COUNT JAVA_COMMUNITY_DEPENDENCIES"
)]
#[case::source_build(
    "source-build",
    "0.1",
    "BINARY_IMAGE BASE_IMAGES",
    "BUILD_RESULT SOURCE_IMAGE_URL SOURCE_IMAGE_DIGEST"
)]
#[case::deprecated(
    "deprecated-image-check",
    "0.4",
    "POLICY_DIR POLICY_NAMESPACE BASE_IMAGES_DIGESTS IMAGE_URL IMAGE_DIGEST",
    "TEST_OUTPUT"
)]
#[case::clair_scan(
    "clair-scan",
    "0.1",
    "image-digest image-url docker-auth",
    "TEST_OUTPUT CLAIR_SCAN_RESULT IMAGES_PROCESSED"
)]
#[case::clamav_scan(
    "clamav-scan",
    "0.1",
    "image-digest image-url docker-auth",
    "TEST_OUTPUT IMAGES_PROCESSED"
)]
#[case::snyk("sast-snyk-check", "0.1", "SNYK_SECRET ARGS", "TEST_OUTPUT")]
#[case::sbom_json_check("sbom-json-check", "0.1", "IMAGE_URL IMAGE_DIGEST", "TEST_OUTPUT IMAGES_PROCESSED")]
#[case::show_sbom("show-sbom", "0.1", "IMAGE_URL PLATFORM", "")]
#[case::summary("summary", "0.2", "pipelinerun-name git-url image-url build-task-status", "")]
#[case::inspect_image(
    "inspect-image",
    "0.1",
    "IMAGE_URL IMAGE_DIGEST",
    "BASE_IMAGE BASE_IMAGE_REPOSITORY TEST_OUTPUT"
)]
#[case::tkn_bundle("tkn-bundle", "0.1", "IMAGE CONTEXT HOME STEPS_IMAGE", "IMAGE_DIGEST IMAGE_URL")]
#[case::build_image_index(
    "build-image-index",
    "0.1",
    "IMAGE IMAGES ALWAYS_BUILD_INDEX",
    "IMAGE_URL IMAGE_DIGEST IMAGE_REF IMAGES"
)]
fn tasks_take_and_give_what_the_specification_says(
    #[case] name: &str,
    #[case] version: &str,
    #[case] params: &str,
    #[case] results: &str,
) {
    let catalog = catalog();
    let spec = &catalog.task(name, version).unwrap().object.spec;
    let found: Vec<_> = spec.params.iter().map(|param| &*param.name).collect();
    for param in params.split_whitespace() {
        assert!(found.contains(&param), "param {param}");
    }
    // Whoever runs it as it was knows none of the others.
    let known: Vec<_> = params.split_whitespace().collect();
    for param in spec.params.iter().filter(|param| !known.contains(&&*param.name)) {
        assert!(param.default.is_some(), "param {} is new and has no default", param.name);
    }
    let found: Vec<_> = spec.results.iter().map(|result| &*result.name).collect();
    for result in results.split_whitespace() {
        assert!(found.contains(&result), "result {result}");
    }
}

#[test]
fn checked_in_definitions_are_what_their_recipes_give() {
    let root = paths::repository().unwrap();
    assert_eq!(
        generate().unwrap().stale(&root).unwrap(),
        Vec::<String>::new(),
        "run `cargo xtask pipelines`"
    );
}

/// Breaks a definition; the rules have to say so in these words.
#[rstest]
#[case::unknown_result("/tasks/1/when/0/input", "$(tasks.init.results.built)", "init/0.2 has no such result")]
#[case::unknown_version(
    "/tasks/0/taskRef/params/1/value",
    "konflux/task-init:9.9",
    "no task init in version 9.9"
)]
#[case::unknown_param("/tasks/0/params/0/name", "image", "param image: init/0.2 has none of this name")]
#[case::missing_param("/tasks/0/params/0/name", "image", "param image-url of init/0.2 is not given")]
#[case::undeclared_param("/tasks/0/params/0/value", "$(params.output)", "params.output")]
#[case::workspace("/tasks/1/workspaces/0/name", "out", "workspace output of git-clone/0.1 is not bound")]
fn rules_find_what_is_wrong_in_a_pipeline(#[case] place: &str, #[case] value: &str, #[case] expected: &str) {
    let mut catalog = catalog();
    catalog.pipelines.retain(|pipeline| pipeline.folder.name == "docker-build");
    let pipeline = &mut catalog.pipelines[0];
    let field = pipeline.content.pointer_mut(&format!("/spec{place}")).expect("the field is there");
    *field = value.into();
    pipeline.object = serde_json::from_value(pipeline.content.clone()).unwrap();
    let faults = rules::faults(&catalog);
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{faults:?}");
}

#[rstest]
#[case::image("/stepTemplate/image", "registry.example/toolbox:latest", "registry.example/toolbox:latest")]
#[case::tag("/stepTemplate/image", "konflux/toolbox:1", "konflux/toolbox:1")]
#[case::result("/results/0/name", "built", "result built is written by no step")]
#[case::param("/params/1/name", "again", "param again is used nowhere")]
fn rules_find_what_is_wrong_in_a_task(#[case] place: &str, #[case] value: &str, #[case] expected: &str) {
    let mut catalog = catalog();
    catalog.pipelines.clear();
    catalog.tasks.retain(|task| task.folder.name == "init");
    let task = &mut catalog.tasks[0];
    *task.content.pointer_mut(&format!("/spec{place}")).expect("the field is there") = value.into();
    task.object = serde_json::from_value(task.content.clone()).unwrap();
    let faults = rules::faults(&catalog);
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{faults:?}");
}

#[test]
fn rules_find_a_param_that_a_new_version_has_lost_and_results_that_are_too_large() {
    let mut catalog = catalog();
    catalog.pipelines.clear();
    catalog.tasks.retain(|task| task.folder.name == "init");
    let mut newer = catalog.tasks[0].clone();
    newer.version = "0.3".to_owned();
    newer.folder.path = "no/such/folder".into();
    newer.object.spec.params.remove(0);
    let result = newer.object.spec.results[0].clone();
    let many = [
        "BASE_IMAGES_DIGESTS",
        "BUILD_RESULT",
        "IMAGES",
        "IMAGES_PROCESSED",
        "JAVA_COMMUNITY_DEPENDENCIES",
        "TEST_OUTPUT",
    ];
    newer.object.spec.results =
        many.map(|name| pipelines_engine_api::TaskResult { name: name.into(), ..result.clone() }).to_vec();
    catalog.tasks.push(newer);
    let faults = rules::faults(&catalog).join("\n");
    assert!(faults.contains("params image-url of 0.2 are gone"), "{faults}");
    assert!(faults.contains("its results have about"), "{faults}");
}

/// A task in the sources of a release pipeline is found by whoever reads about them, with what it gives.
#[test]
fn release_pipelines_are_on_their_page() {
    let page = paths::repository().unwrap().join("docs/reference/release-pipelines.md");
    let page = std::fs::read_to_string(page).unwrap();
    let catalog = catalog();
    let release_task = |task: &&Task| task.content.to_string().contains("konflux/release-tasks");
    for task in catalog.tasks.iter().filter(release_task) {
        // A pipeline may have the same name.
        let begin = format!("| `{}` | {} |", task.folder.name, task.version);
        let row = page.lines().find(|line| line.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("no line begins with {begin}"));
        for result in &task.object.spec.results {
            assert!(row.contains(&format!("`{}`", result.name)), "{row}: result {}", result.name);
        }
    }
    let takes_releases = |pipeline: &&catalog::Pipeline| {
        pipeline.object.spec.workspaces.iter().any(|workspace| workspace.name == "release-workspace")
    };
    let pipelines: Vec<_> = catalog.pipelines.iter().filter(takes_releases).collect();
    assert!(pipelines.len() >= 4, "{} pipelines", pipelines.len());
    for pipeline in pipelines {
        assert!(page.contains(&format!("| `{}` |", pipeline.folder.name)), "{}", pipeline.folder.name);
    }
}

/// release-service brings the bundle of the task that judges, so that the cluster's own is used.
#[test]
fn release_pipelines_judge_by_the_task_that_comes_with_the_run() {
    for name in ["push-to-external-registry", "release-e2e"] {
        let spec = pipeline(name).spec;
        let judges = |task: &&PipelineTask| {
            task.task_ref.as_ref().is_some_and(|reference| catalog::comes_with_the_run(reference).is_some())
        };
        assert_eq!(spec.tasks.iter().filter(judges).count(), 1, "{name}");
    }
    let mut catalog = catalog();
    catalog.tasks.retain(|task| task.folder.name != "verify-enterprise-contract");
    let faults = rules::faults(&catalog).join("\n");
    assert!(
        faults.contains("pipeline release-e2e: task verify-enterprise-contract: there is no task"),
        "{faults}"
    );
}
