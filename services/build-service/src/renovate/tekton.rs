//! Keeps the references in `.tekton` new (specification, section 4.10): while there is the global selector of pipelines, Jobs
//! go through the repositories of all Components, when it changes and then each hour.
//!
//! The hour and the selector's generation are in the names of the Jobs, so that a restart finds what it has begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use application_service_api::Component;
use build_service_api::events::EventReason;
use build_service_api::{BuildPipelineSelector, ErrorId, names};
use fleet::names::{fit, hash};
use fleet::write::PatchKind;
use fleet::{Clock, Event, Fleet, ObjectKey, Runner, Store, Wake, Write, Writer};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::options::Options;
use super::{Error, config, job};
use crate::failure::Failure;
use crate::git::{Gits, NoAccess, Source, is_commit};

const EVERY: SignedDuration = SignedDuration::from_hours(1);
const TOKEN: SignedDuration = SignedDuration::from_mins(50);
const ACTION: &str = "Renovate";
/// Tokens that are asked for at once.
const AT_ONCE: usize = 8;
/// Renovate's word for the default branch, beside others.
const DEFAULT_BRANCH: &str = "$default";

/// What the controller is made of.
pub(crate) struct Parts {
    pub(crate) components: Store<Component>,
    pub(crate) selectors: Store<BuildPipelineSelector>,
    pub(crate) gits: Gits,
    pub(crate) options: Options,
}

struct Context {
    parts: Parts,
    namespace: String,
    client: Client,
    writer: Writer,
    clock: Clock,
}

/// The controller, for the leader to run.
pub(crate) fn controller(fleet: &Fleet, parts: Parts) -> Runner {
    let selector = ObjectKey::new(fleet.namespace(), names::SELECTOR);
    let controller = fleet.controller("renovater").consults(&parts.components).reads_changes(
        &parts.selectors,
        move |change| {
            let keys = (change.key == selector).then(|| change.key.clone());
            keys.into_iter().collect()
        },
    );
    let context = Arc::new(Context {
        namespace: fleet.namespace().to_owned(),
        client: fleet.client().clone(),
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        parts,
    });
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// A repository, and the branches of it that Components are built from.
#[derive(Clone, Debug)]
struct Repository {
    source: Source,
    /// Of the Component whose credentials are used.
    namespace: String,
    branches: BTreeSet<String>,
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(selector) = context.parts.selectors.get(&key) else { return Ok(Wake::OnChange) };
    let now = context.clock.now();
    let hour =
        Timestamp::from_second(now.as_second() - now.as_second().rem_euclid(EVERY.as_secs())).unwrap_or(now);
    let components: Vec<_> =
        context.parts.components.keys().iter().filter_map(|key| context.parts.components.get(key)).collect();
    let (repositories, unknown) = repositories(&components);
    let reason: &'static str = EventReason::ErrorComponentProviderInfo.into();
    for (component, failure) in unknown {
        let event = Event::warning(&*component, reason, ACTION, failure.to_string());
        context.writer.apply(&[Write::Event(event)]).await.map_err(Failure::from)?;
    }
    let size = usize::from(context.parts.options.renovate_installations_per_job);
    for (number, chunk) in repositories.chunks(size).enumerate() {
        Box::pin(context.run(&selector, &name(&selector, hour, number), chunk)).await?;
    }
    Ok(Wake::At(hour + EVERY))
}

/// `renovate-job-<unix time>-<hash>`
fn name(selector: &BuildPipelineSelector, hour: Timestamp, number: usize) -> String {
    let generation = selector.metadata.generation.unwrap_or_default().to_string();
    let uid = selector.uid().unwrap_or_default();
    let at = hour.as_second().to_string();
    let tail = format!("-{}", hash(5, &[&uid, &generation, &at, &number.to_string()]));
    fit(63, &format!("renovate-job-{at}"), &tail)
}

/// All repositories, each once with all its branches, in the order of their names, and the Components whose forge is unknown.
fn repositories(components: &[Arc<Component>]) -> (Vec<Repository>, Vec<(Arc<Component>, Failure)>) {
    let mut found: BTreeMap<String, Repository> = BTreeMap::new();
    let mut unknown = Vec::new();
    let mut components: Vec<_> = components.iter().collect();
    components.sort_by_key(|component| ObjectKey::of(&***component));
    for component in components {
        if component.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match Source::of(component) {
            None => {}
            Some(Err(failure)) => unknown.push((Arc::clone(component), failure)),
            Some(Ok(source)) if source.revision.as_deref().is_some_and(is_commit) => {}
            Some(Ok(source)) => {
                let branch = source.revision.clone().unwrap_or_else(|| DEFAULT_BRANCH.to_owned());
                let namespace = component.namespace().unwrap_or_default();
                let entry = found.entry(source.name());
                entry
                    .or_insert_with(|| Repository { source, namespace, branches: BTreeSet::new() })
                    .branches
                    .insert(branch);
            }
        }
    }
    (found.into_values().collect(), unknown)
}

impl Repository {
    /// None means the default branch.
    fn branches(&self) -> Vec<String> {
        if self.branches.iter().all(|branch| branch == DEFAULT_BRANCH) {
            return Vec::new();
        }
        self.branches.iter().cloned().collect()
    }
}

impl Context {
    /// Has a Job go through some repositories, unless it does so already.
    async fn run(
        &self,
        selector: &BuildPipelineSelector,
        name: &str,
        repositories: &[Repository],
    ) -> Result<(), Failure> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let refused = |what: &str, error: &kube::Error| Failure::of_api(&format!("{what} Job {name}"), error);
        let found = jobs.get_opt(name).await.map_err(|error| refused("get", &error))?;
        if found.is_some_and(|job| job.spec.is_some_and(|spec| spec.suspend != Some(true))) {
            return Ok(());
        }
        let tasks = Box::pin(self.tasks(selector, repositories)).await?;
        if tasks.is_empty() {
            return Ok(());
        }
        let wanted =
            job::job(&ObjectKey::new(self.namespace.as_str(), name), &self.parts.options.updater, &tasks);
        self.writer.apply(&[Write::create(&wanted)]).await?;
        let job = jobs.get(name).await.map_err(|error| refused("get", &error))?;
        let writes = [
            Write::create(&job::config_map(&job, &tasks)),
            Write::create(&job::secret(&job, &tasks)),
            Write::patch(&job, PatchKind::Merge, json!({"spec": {"suspend": false}})),
        ];
        self.writer.apply(&writes).await?;
        tracing::info!(name, repositories = tasks.len(), "Looks for newer task bundles");
        Ok(())
    }

    /// What can be worked on. A repository without credentials is left out.
    async fn tasks(
        &self,
        selector: &BuildPipelineSelector,
        repositories: &[Repository],
    ) -> Result<Vec<job::Task>, Failure> {
        let asked = repositories.iter().cloned().map(|repository| async move {
            let token = self.parts.gits.run_token(&repository.namespace, &repository.source, TOKEN).await;
            (repository, token)
        });
        let answered: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut tasks = Vec::new();
        for (repository, token) in answered {
            match token {
                Ok(token) => {
                    let name = repository.source.name();
                    let (app, user) = (token.app.as_ref(), token.user.as_deref());
                    let mut settings = config::forge(&repository.source, app, user);
                    settings.extend(config::tekton(
                        &repository.source.repository.to_string(),
                        &repository.branches(),
                        &self.parts.options.renovate_pattern,
                    ));
                    tasks.push(job::Task { id: hash(10, &[&name]), settings, token: token.token });
                }
                Err(none) => {
                    tracing::info!(repository = repository.source.name(), reason = %none.failure, "Left out");
                    self.tell(selector, &none).await?;
                }
            }
        }
        Ok(tasks)
    }

    async fn tell(&self, selector: &BuildPipelineSelector, none: &NoAccess) -> Result<(), Failure> {
        let is_app = none.notice.is_some();
        if let Failure::Permanent { id: ErrorId::PacSecretNotFound | ErrorId::PacSecretInvalid, detail } =
            &none.failure
            && is_app
        {
            let reason: &'static str = EventReason::ErrorReadingPacSecret.into();
            let event = Event::warning(selector, reason, ACTION, detail.as_str());
            self.writer.apply(&[Write::Event(event)]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(namespace: &str, name: &str, url: &str, revision: Option<&str>) -> Arc<Component> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"componentName": name, "application": "a", "source": {"git": {"url": url, "revision": revision}}},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_repository_appears_once_with_all_branches() {
        let components = [
            component("b", "web", "https://github.com/acme/app", None),
            component("a", "api", "https://github.com/acme/app.git", Some("release")),
            component("a", "cli", "https://gitlab.com/acme/cli", None),
            component("a", "odd", "https://git.example/acme/odd", None),
            component("a", "pinned", "https://github.com/acme/p", Some("8cc5aef")),
        ];
        let (found, unknown) = repositories(&components);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.source.name(), one.namespace.as_str(), one.branches().join(",")))
            .collect();
        assert_eq!(
            found,
            [
                ("github.com/acme/app".to_owned(), "a", "$default,release".to_owned()),
                ("gitlab.com/acme/cli".to_owned(), "a", String::new()),
            ]
        );
        assert_eq!(unknown.len(), 1);
    }

    #[test]
    fn a_change_of_the_selector_begins_anew_and_so_does_each_hour() {
        let selector = |generation: i64| BuildPipelineSelector {
            metadata: kube::api::ObjectMeta {
                uid: Some("u".to_owned()),
                generation: Some(generation),
                ..Default::default()
            },
            ..Default::default()
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = name(&selector(1), at(3600), 0);
        assert_eq!(first, name(&selector(1), at(3600), 0));
        let others = [
            name(&selector(2), at(3600), 0),
            name(&selector(1), at(7200), 0),
            name(&selector(1), at(3600), 1),
        ];
        assert!(!others.contains(&first) && first.starts_with("renovate-job-3600-"), "{first}");
    }
}
