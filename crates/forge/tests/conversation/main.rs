//! What forges are asked and told, by the client that services use: at the fakes of testkit, and at a real Gitea.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod announce;
mod app;
mod bitbucket_cloud;
mod bitbucket_server;
mod changes;
mod checks;
mod contents;
mod gitea;
mod github;
mod gitlab;
mod hostile;
mod releases;
mod scene;
mod world;
