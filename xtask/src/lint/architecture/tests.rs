//! Each rule fails once; the repository itself keeps them all.
use rstest::rstest;

use super::*;

const MANIFEST: &str = "[lints]\nworkspace = true\n";

fn package(folder: &str, name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
    Package {
        name: name.into(),
        role: role(Path::new(folder)).expect("a folder of the layout"),
        dependencies: dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).into(),
                kind: kind.map(Into::into),
                path: Some("x".into()),
            })
            .collect(),
        manifest: MANIFEST.into(),
    }
}

/// Two services with their api crates, the kit, the test kit and the tools: nothing is wrong with it.
fn good() -> Vec<Package> {
    vec![
        package("crates/fleet/api", "fleet-api", &[]),
        package(
            "crates/fleet",
            "fleet",
            &[("fleet-api", None), ("ant-filter", Some("dev")), ("testkit", Some("dev"))],
        ),
        package("crates/testkit", "testkit", &[("fleet-api", None)]),
        package("services/ant/api", "ant-api", &[("fleet-api", None), ("testkit", Some("dev"))]),
        package(
            "services/ant",
            "ant",
            &[("ant-api", None), ("ant-filter", None), ("fleet", None), ("testkit", Some("dev"))],
        ),
        package("services/ant/entrypoint", "ant-entrypoint", &[]),
        package("services/ant/filter", "ant-filter", &[("fleet", None), ("testkit", Some("dev"))]),
        package(
            "services/ant/watcher",
            "ant-watcher",
            &[("ant-api", None), ("bee-api", None), ("fleet", None)],
        ),
        package("services/bee/api", "bee-api", &[("ant-api", None)]),
        package("services/bee", "bee", &[("ant-api", None), ("bee-api", None), ("fleet", None)]),
        package("pipelines/toolbox", "toolbox", &[("fleet", None)]),
        package("pipelines/release", "release-tasks", &[("fleet", None), ("bee-api", None)]),
        package("tests/integration", "integration-tests", &[("testkit", None), ("ant", None)]),
        package("xtask", "xtask", &[("testkit", None), ("ant", None), ("bee", None)]),
    ]
}

fn around() -> Surroundings {
    let both = || BTreeSet::from(["ant".to_owned(), "bee".to_owned()]);
    Surroundings {
        bases: both(),
        readmes: both(),
        rows: both(),
        code_owners: "* @all\n/services/ant/ @ants\n/services/bee/   @bees\n".into(),
    }
}

#[test]
fn good_workspace_has_no_faults() {
    assert_eq!(faults(&good(), &around()), Vec::<String>::new());
}

#[rstest]
#[case::service_on_service("ant", "bee", None)]
#[case::service_on_service_in_tests("ant", "bee", Some("dev"))]
#[case::service_on_testkit("ant", "testkit", None)]
#[case::service_on_testkit_in_build("ant", "testkit", Some("build"))]
#[case::service_on_xtask("ant", "xtask", Some("dev"))]
#[case::api_on_kit("ant-api", "fleet", None)]
#[case::api_on_service("ant-api", "ant", None)]
#[case::api_on_testkit("ant-api", "testkit", None)]
#[case::program_in_pods_on_api("ant-entrypoint", "ant-api", None)]
#[case::program_in_pods_on_testkit("ant-entrypoint", "testkit", Some("dev"))]
#[case::service_on_program_in_pods("ant", "ant-entrypoint", None)]
#[case::step_of_a_build_on_api("toolbox", "ant-api", None)]
#[case::watcher_on_its_service("ant-watcher", "ant", None)]
#[case::service_on_its_watcher("ant", "ant-watcher", None)]
#[case::watcher_on_testkit("ant-watcher", "testkit", None)]
#[case::service_on_the_library_of_another("bee", "ant-filter", None)]
#[case::library_of_a_service_on_its_api("ant-filter", "ant-api", None)]
#[case::step_of_a_release_on_service("release-tasks", "ant", None)]
#[case::step_of_a_release_on_testkit("release-tasks", "testkit", None)]
#[case::step_of_a_release_on_that_of_a_build("release-tasks", "toolbox", None)]
#[case::kit_on_service("fleet", "ant", None)]
#[case::kit_on_the_library_of_a_service("fleet", "ant-filter", None)]
#[case::kit_on_testkit("fleet", "testkit", None)]
#[case::kit_on_tests("fleet", "integration-tests", None)]
fn dependency_is_refused(#[case] from: &str, #[case] to: &str, #[case] kind: Option<&str>) {
    let mut packages = good();
    let package = packages.iter_mut().find(|package| package.name == from).expect("a crate of the sample");
    package.dependencies.push(Dependency {
        name: to.into(),
        kind: kind.map(Into::into),
        path: Some("x".into()),
    });
    let found = faults(&packages, &around());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{from} depends on {to}: ")), "{found:?}");
}

#[rstest]
#[case::base(|around: &mut Surroundings| { around.bases.remove("ant"); }, "ant: deploy/kustomize/base/ant/kustomization.yaml is missing")]
#[case::readme(|around: &mut Surroundings| { around.readmes.remove("ant"); }, "ant: services/ant/README.md is missing")]
#[case::owner(|around: &mut Surroundings| around.code_owners = "/services/ant/\n/services/bee/ @b".into(), "ant: .github/CODEOWNERS has no line `/services/ant/ @owner`")]
#[case::row(|around: &mut Surroundings| { around.rows.remove("ant"); }, "ant: xtask/src/services.rs has no row for it, and so docs/reference/services.md has none")]
#[case::row_of_nothing(|around: &mut Surroundings| { around.rows.insert("cat".into()); }, "cat: a row in xtask/src/services.rs, but no folder services/cat")]
fn service_is_incomplete(#[case] spoil: fn(&mut Surroundings), #[case] expected: &str) {
    let mut around = around();
    spoil(&mut around);
    assert_eq!(faults(&good(), &around), [expected]);
}

#[test]
fn service_without_program_needs_a_row_and_an_owner() {
    let mut packages = good();
    packages.push(package("services/cat/api", "cat-api", &[]));
    let found = faults(&packages, &around());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|fault| fault.starts_with("cat: ")), "{found:?}");
}

#[test]
fn crate_is_named_like_its_folder() {
    let mut packages = good();
    packages.push(package("services/cat", "feline", &[]));
    let mut around = around();
    for set in [&mut around.bases, &mut around.readmes, &mut around.rows] {
        set.insert("cat".into());
    }
    around.code_owners.push_str("/services/cat/ @cats\n");
    assert_eq!(faults(&packages, &around), ["feline: the crate in services/cat must be named cat"]);
}

#[test]
fn manifest_rules_name_the_crate() {
    let mut packages = good();
    packages[0].manifest.push_str("[dependencies]\nserde = \"1\"\n");
    let found = faults(&packages, &around());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("fleet-api: `serde = \"1\"`"), "{found:?}");
}

#[rstest]
#[case("services/ant", Some(Role::Service("ant".into())))]
#[case("services/ant/api", Some(Role::Api { service: Some("ant".into()) }))]
#[case("services/ant/entrypoint", Some(Role::InPods))]
#[case("services/ant/watcher", Some(Role::Watcher { service: "ant".into() }))]
#[case("services/ant/filter", Some(Role::Part { service: "ant".into() }))]
#[case("pipelines/toolbox", Some(Role::InSteps))]
#[case("pipelines/release", Some(Role::InReleases))]
#[case("crates/fleet/api", Some(Role::Api { service: None }))]
#[case("crates/fleet", Some(Role::Kit))]
#[case("tests/integration", Some(Role::Tool))]
#[case("xtask", Some(Role::Tool))]
#[case("helpers", None)]
fn role_by_folder(#[case] folder: &str, #[case] expected: Option<Role>) {
    assert_eq!(role(Path::new(folder)), expected);
}

#[tokio::test]
async fn this_repository() -> anyhow::Result<()> {
    check(&crate::paths::repository()?).await?;
    Ok(())
}
