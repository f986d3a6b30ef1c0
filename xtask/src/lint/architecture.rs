//! Who may depend on whom, and what every service must have.
//!
//! ```text
//! services/<service>      →  any *-api, crates/*            never another service
//! services/<service>/api  →  other *-api
//! services/<service>/entrypoint  →  nothing of ours: a program for other people's pods
//! pipelines/toolbox       →  crates/*                       a program for steps of builds
//! pipelines/release       →  any *-api, crates/*            a program for steps of releases
//! crates/*                →  crates/*, any *-api            never a service
//! tests/, xtask           →  anything
//! testkit                 ←  dev-dependencies, tests/, xtask
//! ```
//! Teams that own one service each can then change, build and deploy it without the others. What is read here is
//! `cargo metadata`; the rules are a pure function of it.
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{program::Program, services};

mod manifest;

/// The part of `cargo metadata --format-version 1 --no-deps` that the rules look at.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

/// A dependency as a manifest declares it.
#[derive(Clone, Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or absent for what the crate itself is built with.
    #[serde(default)]
    kind: Option<String>,
    /// Folder of a crate of ours; absent for one from the registry.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// A crate of ours.
#[derive(Clone, Debug)]
struct Package {
    name: String,
    role: Role,
    /// Only those on crates of ours.
    dependencies: Vec<Dependency>,
    /// Text of its Cargo.toml.
    manifest: String,
}

/// What a crate is, by the folder that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// `services/<name>`
    Service(String),
    /// `services/<service>/watcher`: a program of its own, with nothing of the other's but the api crate
    Watcher { service: String },
    /// `services/<service>/filter`: a library of that service alone
    Part { service: String },
    /// `services/<service>/api`; `crates/<name>/api`, which is of no service
    Api { service: Option<String> },
    /// `services/<name>/entrypoint`
    InPods,
    /// `pipelines/toolbox`
    InSteps,
    /// `pipelines/release`
    InReleases,
    /// `crates/<name>`
    Kit,
    /// `xtask`, `tests/<name>`
    Tool,
}

/// What the rules look at besides the crates.
#[derive(Clone, Debug, Default)]
struct Surroundings {
    /// Services with `deploy/kustomize/base/<service>/kustomization.yaml`.
    bases: BTreeSet<String>,
    /// Services with `services/<service>/README.md`.
    readmes: BTreeSet<String>,
    /// Services in the table of xtask/src/services.rs, from which docs/reference/services.md is made.
    rows: BTreeSet<String>,
    /// Text of .github/CODEOWNERS.
    code_owners: String,
}

/// Checks the repository at `root`.
pub async fn check(root: &Path) -> anyhow::Result<String> {
    let json = Program::cargo(root)
        .args(["metadata", "--no-deps", "--format-version", "1", "--quiet"])
        .run()
        .await?
        .success()?;
    let metadata: Metadata = serde_json::from_str(&json).context("read the output of `cargo metadata`")?;
    let packages = packages(metadata)?;
    let faults = faults(&packages, &surroundings(root, &packages)?);
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{} crates", packages.len()))
}

fn packages(metadata: Metadata) -> anyhow::Result<Vec<Package>> {
    let Metadata { packages, workspace_root } = metadata;
    packages
        .into_iter()
        .map(|MetadataPackage { name, manifest_path, dependencies }| {
            let folder = manifest_path.parent().and_then(|folder| folder.strip_prefix(&workspace_root).ok());
            let role = folder.and_then(role).with_context(|| {
                format!("crate {name} lies in no folder that docs/explanation/architecture.md names")
            })?;
            let manifest = std::fs::read_to_string(&manifest_path)
                .with_context(|| format!("read {}", manifest_path.display()))?;
            let dependencies =
                dependencies.into_iter().filter(|dependency| dependency.path.is_some()).collect();
            Ok(Package { name, role, dependencies, manifest })
        })
        .collect()
}

fn role(folder: &Path) -> Option<Role> {
    let parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["services", name] => Some(Role::Service((*name).to_owned())),
        ["services", name, "api"] => Some(Role::Api { service: Some((*name).to_owned()) }),
        ["services", _, "entrypoint"] => Some(Role::InPods),
        ["services", name, "watcher"] => Some(Role::Watcher { service: (*name).to_owned() }),
        ["services", name, "filter"] => Some(Role::Part { service: (*name).to_owned() }),
        ["pipelines", "release"] => Some(Role::InReleases),
        ["pipelines", _] => Some(Role::InSteps),
        ["crates", _, "api"] => Some(Role::Api { service: None }),
        ["crates", _] => Some(Role::Kit),
        ["xtask"] | ["tests", _] => Some(Role::Tool),
        _ => None,
    }
}

fn surroundings(root: &Path, packages: &[Package]) -> anyhow::Result<Surroundings> {
    let with = |path: &dyn Fn(&str) -> PathBuf| -> BTreeSet<String> {
        services_of(packages)
            .into_iter()
            .filter(|name| root.join(path(name)).is_file())
            .map(str::to_owned)
            .collect()
    };
    let code_owners = Path::new(".github/CODEOWNERS");
    Ok(Surroundings {
        bases: with(&|name| Path::new("deploy/kustomize/base").join(name).join("kustomization.yaml")),
        readmes: with(&|name| Path::new("services").join(name).join("README.md")),
        rows: services::ALL.iter().map(|service| service.name.to_owned()).collect(),
        code_owners: std::fs::read_to_string(root.join(code_owners))
            .with_context(|| format!("read {}", code_owners.display()))?,
    })
}

/// Those with a program or at least an api crate.
fn services_of(packages: &[Package]) -> BTreeSet<&str> {
    packages
        .iter()
        .filter_map(|package| match &package.role {
            Role::Service(name) | Role::Api { service: Some(name) } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// One line for each broken rule.
fn faults(packages: &[Package], around: &Surroundings) -> Vec<String> {
    let role_of =
        |name: &str| packages.iter().find(|package| package.name == name).map(|package| &package.role);
    let mut faults = Vec::new();
    for package in packages {
        let name = &package.name;
        for dependency in &package.dependencies {
            let Some(target) = role_of(&dependency.name) else { continue };
            if let Some(why) = forbidden(package, dependency, target) {
                faults.push(format!("{name} depends on {}: {why}", dependency.name));
            }
        }
        faults
            .extend(manifest::faults(&package.manifest).into_iter().map(|fault| format!("{name}: {fault}")));
        if let Role::Service(service) = &package.role
            && service != name
        {
            faults.push(format!("{name}: the crate in services/{service} must be named {service}"));
        }
    }
    let services = services_of(packages);
    for service in &services {
        let has_program = packages.iter().any(|package| package.role == Role::Service((*service).to_owned()));
        faults.extend(
            missing(service, has_program, around).into_iter().map(|what| format!("{service}: {what}")),
        );
    }
    for row in around.rows.iter().filter(|row| !services.contains(row.as_str())) {
        faults.push(format!("{row}: a row in xtask/src/services.rs, but no folder services/{row}"));
    }
    faults
}

/// Why this dependency may not be; nothing if it may.
fn forbidden(package: &Package, dependency: &Dependency, target: &Role) -> Option<&'static str> {
    let is_dev = dependency.kind.as_deref() == Some("dev");
    match (&package.role, target) {
        (Role::Tool, _) => None,
        (_, Role::Tool) => Some("nothing builds on xtask or tests"),
        (_, Role::InPods | Role::InSteps | Role::InReleases) => {
            Some("it is a program of its own, and no library")
        }
        (Role::InPods, _) => Some("it runs in pods of others, and has to stay small"),
        (_, _) if dependency.name == "testkit" => {
            (!is_dev).then_some("testkit is for dev-dependencies, tests/ and xtask only")
        }
        (Role::Service(service), Role::Part { service: owner }) if service == owner => None,
        // Tests of who speaks its language may have it judge what they say.
        (Role::Kit, Role::Part { .. }) if is_dev => None,
        (_, Role::Part { .. }) => Some("it is a library of its own service alone"),
        (_, Role::Watcher { .. }) => Some("it is a program of its own, and no library"),
        (Role::Part { .. }, Role::Service(_) | Role::Api { .. }) => {
            Some("a library of a service knows nothing of what it is for")
        }
        (Role::Service(_) | Role::Watcher { .. }, Role::Service(_)) => {
            Some("services meet in the API server only; use the other one's api crate, or a test in tests/")
        }
        (Role::InSteps, Role::Service(_) | Role::Api { .. }) => {
            Some("a step of a build knows images and repositories, and nothing of the cluster")
        }
        (Role::InReleases, Role::Service(_)) => {
            Some("a step of a release knows the kinds of the cluster, and none of those who act on them")
        }
        (Role::Kit, Role::Service(_)) => Some("what all services share cannot need one of them"),
        (Role::Api { .. }, Role::Service(_) | Role::Kit) => {
            Some("an api crate holds types for everybody: it needs other api crates at most")
        }
        (
            Role::Service(_) | Role::Watcher { .. } | Role::Kit | Role::InReleases,
            Role::Api { .. } | Role::Kit,
        )
        | (Role::Part { .. } | Role::InSteps, Role::Kit)
        | (Role::Api { .. }, Role::Api { .. }) => None,
    }
}

/// What a service must have and does not. Without a program there is nothing to deploy or to describe yet.
fn missing(service: &str, has_program: bool, around: &Surroundings) -> Vec<String> {
    let owned = format!("/services/{service}/");
    let is_owned = around
        .code_owners
        .lines()
        .any(|line| line.strip_prefix(&owned).is_some_and(|owners| owners.trim_start().starts_with('@')));
    [
        (
            !has_program || around.bases.contains(service),
            format!("deploy/kustomize/base/{service}/kustomization.yaml is missing"),
        ),
        (
            !has_program || around.readmes.contains(service),
            format!("services/{service}/README.md is missing"),
        ),
        (is_owned, format!(".github/CODEOWNERS has no line `{owned} @owner`")),
        (
            around.rows.contains(service),
            "xtask/src/services.rs has no row for it, and so docs/reference/services.md has none".to_owned(),
        ),
    ]
    .into_iter()
    .filter_map(|(is_there, fault)| (!is_there).then_some(fault))
    .collect()
}

#[cfg(test)]
mod tests;
