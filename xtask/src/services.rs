//! The services of the fleet: one row each, read by whatever generates or checks something for all of them.
use clap::{CommandFactory as _, Parser as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use prometheus::Registry;

/// A service, as far as commands of xtask have to know it.
pub struct Service {
    /// Its folder below services/, its base below deploy/kustomize/base/ and its image.
    pub name: &'static str,
    /// One sentence: what it is for.
    pub purpose: &'static str,
    /// The kinds that it owns, in the versions that it serves.
    pub crds: fn() -> Vec<CustomResourceDefinition>,
    /// Absent while there is no more of it than its api crate, which others need already.
    pub program: Option<Program>,
}

/// What a service is run with and watched by.
pub struct Program {
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Registers the metrics that it has of its own.
    pub metrics: fn(&Registry) -> Result<(), prometheus::Error>,
}

/// In alphabetical order. A folder below services/ without a row fails `cargo xtask lint`.
pub const ALL: &[Service] = &[
    Service {
        name: "application-service",
        purpose: "Checks Applications, Components and the objects around them, and keeps what they refer to in step.",
        crds: application_service_api::crds,
        program: Some(Program {
            command: application_service::Args::command,
            metrics: |registry| application_service::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "build-service",
        purpose: "Sets up the build of each Component: pull requests with its pipelines, webhooks, builds, and newer images.",
        crds: build_service_api::crds,
        program: Some(Program {
            command: build_service::Args::command,
            metrics: |registry| build_service::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "chains",
        purpose: "Signs images that runs have built, and attests how they were built.",
        crds: Vec::new,
        program: Some(Program {
            command: chains::Args::command,
            metrics: |registry| chains::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "enterprise-contract",
        purpose: "Checks policies before they are needed. Images are judged by `ec`, without it.",
        crds: enterprise_contract_api::crds,
        program: Some(Program {
            command: enterprise_contract::Args::command,
            metrics: |registry| enterprise_contract::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "gitops-service",
        purpose: "Will deploy Applications to Environments from Git repositories.",
        crds: gitops_service_api::crds,
        program: None,
    },
    Service {
        name: "image-controller",
        purpose: "Gives each Component an image repository with credentials of its own.",
        crds: image_controller_api::crds,
        program: Some(Program {
            command: image_controller::Args::command,
            metrics: |registry| image_controller::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "integration-service",
        purpose: "Tests each build together with the rest of its Application, and promotes and releases what passes.",
        crds: integration_service_api::crds,
        program: Some(Program {
            command: integration_service::Args::command,
            metrics: |registry| integration_service::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "internal-services",
        purpose: "Runs pipelines of a private cluster for requests from a public one.",
        crds: internal_services_api::crds,
        program: Some(Program {
            command: internal_services::Args::command,
            metrics: |registry| internal_services::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "pipelines-as-code",
        purpose: "Starts the pipelines in a Git repository on its events, and tells its forge how they ended.",
        crds: pipelines_as_code_api::crds,
        program: Some(Program {
            command: pipelines_as_code::Args::command,
            metrics: pipelines_as_code::metrics::register_all,
        }),
    },
    Service {
        name: "pipelines-engine",
        purpose: "Runs Tekton pipelines: PipelineRuns become TaskRuns, and TaskRuns become pods.",
        crds: pipelines_engine_api::crds,
        program: Some(Program {
            command: pipelines_engine::Args::command,
            metrics: |registry| {
                pipelines_engine::metrics::Metrics::new(registry).map(|metrics| metrics.example())
            },
        }),
    },
    Service {
        name: "release-service",
        purpose: "Releases Snapshots by pipelines of the team's own and of managed namespaces, and says on whose behalf.",
        crds: release_service_api::crds,
        program: Some(Program {
            command: release_service::Args::command,
            metrics: |registry| release_service::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "results",
        purpose: "Keeps what runs did and said after they are gone, for those who may see it. Its program is `results-api`.",
        crds: Vec::new,
        program: Some(Program { command: results::Args::command, metrics: results::metrics::register_all }),
    },
    Service {
        name: "sprayproxy",
        purpose: "Sends each webhook of a forge to every member cluster, and keeps what one of them does not take.",
        crds: Vec::new,
        program: Some(Program {
            command: sprayproxy::Args::command,
            metrics: sprayproxy::metrics::register_all,
        }),
    },
];

/// A program that a service has beside its first: in the same package or one below it, an image of its own, in the same base.
pub struct Further {
    /// Its binary and its image.
    pub name: &'static str,
    pub service: &'static str,
    /// One sentence: what it is for.
    pub purpose: &'static str,
    pub program: Program,
}

/// In alphabetical order.
pub const FURTHER: &[Further] = &[
    Further {
        name: "image-pruner",
        service: "image-controller",
        purpose: "Deletes signatures, SBOMs and the like in Quay whose image is gone, every night.",
        program: Program {
            command: image_controller::pruner::Args::command,
            metrics: |registry| image_controller::pruner::Metrics::new(registry).map(drop),
        },
    },
    Further {
        name: "image-registry-tokens",
        service: "image-controller",
        purpose: "Gives robot accounts short-lived tokens for a registry that is no Quay.",
        program: Program {
            command: image_controller::tokens::Args::command,
            metrics: image_controller::tokens::register_all,
        },
    },
    Further {
        name: "mintmaker",
        service: "build-service",
        purpose: "Looks through the dependencies of Components when a DependencyUpdateCheck asks for it.",
        program: Program {
            command: build_service::mintmaker::Args::command,
            metrics: build_service::mintmaker::metrics::register_all,
        },
    },
    Further {
        name: "pipelines-resolvers",
        service: "pipelines-engine",
        purpose: "Finds the Tasks, Pipelines and StepActions that runs refer to by a resolver.",
        program: Program {
            command: pipelines_engine::resolvers::Args::command,
            metrics: |registry| pipelines_engine::resolution::Metrics::new(registry).map(drop),
        },
    },
    Further {
        name: "results-retention",
        service: "results",
        purpose: "Deletes from the archive what nobody has to keep any longer, with its stored logs.",
        program: Program { command: results::retention::Args::command, metrics: |_| Ok(()) },
    },
    Further {
        name: "results-watcher",
        service: "results",
        purpose: "Archives runs and their logs, and deletes finished runs from the cluster, never before they are archived.",
        program: Program {
            command: results_watcher::Args::command,
            metrics: |registry| {
                let args = results_watcher::Args::parse_from(["results-watcher"]);
                results_watcher::Metrics::new(registry, &args).map(drop)
            },
        },
    },
    Further {
        name: "snapshotgc",
        service: "integration-service",
        purpose: "Deletes the oldest Snapshots of tenants, before their quota is used up.",
        program: Program {
            command: integration_service::gc::Args::command,
            metrics: |registry| integration_service::gc::Metrics::new(registry).map(drop),
        },
    },
];

/// Everything that can be run, by name.
pub fn programs() -> impl Iterator<Item = (&'static str, &'static Program)> {
    ALL.iter().flat_map(|service| {
        let own = service.program.as_ref().map(|program| (service.name, program));
        let further = FURTHER.iter().filter(|further| further.service == service.name);
        own.into_iter().chain(further.map(|further| (further.name, &further.program)))
    })
}
