//! The steps of the demo, in order.
use super::Step;

mod application;
mod cluster;
mod component;
mod deploy;
mod history;
mod images;
mod integration;
mod pipeline;
mod push;
mod refusal;
mod registry;
pub mod release;
pub mod tenant;
mod trust;

/// Each stands on those before it.
pub const ALL: &[Step] = &[
    Step { title: "a Kubernetes cluster", run: |show| Box::pin(cluster::run(show)) },
    Step { title: "an image of each service", run: |show| Box::pin(images::run(show)) },
    Step { title: "the services, from their images", run: |show| Box::pin(deploy::run(show)) },
    Step { title: "a tenant", run: |show| Box::pin(tenant::run(show)) },
    Step { title: "an Application with two Components", run: |show| Box::pin(application::run(show)) },
    Step { title: "a Pipeline runs, task by task", run: |show| Box::pin(pipeline::run(show)) },
    Step {
        title: "a push to the forge becomes a run, and its result a status",
        run: |show| Box::pin(push::run(show)),
    },
    Step {
        title: "a Component of a repository becomes an image",
        run: |show| Box::pin(component::run(show)),
    },
    Step {
        title: "the image is signed, passes the policy, and does not once it is tampered with",
        run: |show| Box::pin(trust::run(show)),
    },
    Step {
        title: "a pull request is tested before it is merged, and what is merged is offered for release",
        run: |show| Box::pin(integration::run(show)),
    },
    Step {
        title: "what was merged is released by the team's own pipeline",
        run: |show| Box::pin(release::own(show)),
    },
    Step {
        title: "a release team judges it and copies it to where customers pull from",
        run: |show| Box::pin(release::managed(show)),
    },
    Step {
        title: "an image that somebody pushed by hand is not released, and why",
        run: |show| Box::pin(release::refused(show)),
    },
    Step {
        title: "a run is pruned, and its history stays for those who may see it",
        run: |show| Box::pin(history::run(show)),
    },
    Step { title: "mistakes are refused, and why", run: |show| Box::pin(refusal::run(show)) },
];
