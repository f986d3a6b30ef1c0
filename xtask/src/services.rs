//! The services of the fleet: one row each, read by whatever generates or checks something for all of them.
use clap::CommandFactory as _;
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
        purpose: "Will set up the build pipeline of each Component.",
        crds: build_service_api::crds,
        program: None,
    },
    Service {
        name: "enterprise-contract",
        purpose: "Will check policies before they are needed: images are judged by `ec`, without it.",
        crds: enterprise_contract_api::crds,
        program: None,
    },
    Service {
        name: "gitops-service",
        purpose: "Will deploy Applications to Environments from Git repositories.",
        crds: gitops_service_api::crds,
        program: None,
    },
    Service {
        name: "image-controller",
        purpose: "Will give each Component an image repository with credentials of its own.",
        crds: image_controller_api::crds,
        program: None,
    },
    Service {
        name: "integration-service",
        purpose: "Will test each build together with the rest of its Application, and promote what passes.",
        crds: integration_service_api::crds,
        program: None,
    },
    Service {
        name: "internal-services",
        purpose: "Will run pipelines of a private cluster for requests from a public one.",
        crds: internal_services_api::crds,
        program: None,
    },
    Service {
        name: "pipelines-as-code",
        purpose: "Will start the pipelines in a Git repository on its events, and tell its forge how they ended.",
        crds: pipelines_as_code_api::crds,
        program: None,
    },
    Service {
        name: "pipelines-engine",
        purpose: "Runs Tekton pipelines: PipelineRuns become TaskRuns, and TaskRuns become pods.",
        crds: pipelines_engine_api::crds,
        program: Some(Program {
            command: pipelines_engine::Args::command,
            metrics: |registry| pipelines_engine::metrics::Metrics::new(registry).map(drop),
        }),
    },
    Service {
        name: "release-service",
        purpose: "Will release Snapshots by the pipelines of managed namespaces, and say on whose behalf.",
        crds: release_service_api::crds,
        program: None,
    },
];

/// Services that can be run, with how.
pub fn programs() -> impl Iterator<Item = (&'static Service, &'static Program)> {
    ALL.iter().filter_map(|service| Some((service, service.program.as_ref()?)))
}
