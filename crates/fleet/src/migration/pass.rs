//! One pass over all objects of a kind.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::Timing;
use super::definition::Outdated;
use super::metrics::{MigrationMetrics, Rewrite};
use crate::key::ObjectKey;
use crate::leader::Leadership;

const PAGE: u32 = 500;

/// So many refused objects are no fault of the objects: the pass ends, instead of trying all others, too.
const MOST_REFUSED: usize = 20;

/// Waits between attempts at one object: what is not over by then ends the pass.
const ATTEMPTS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// In managedFields of a definition's status. An empty patch of an object leaves no trace there.
const MANAGER: &str = "fleet-migration";

pub(super) struct Pass<'a> {
    pub(super) client: &'a Client,
    pub(super) crd: &'a str,
    pub(super) timing: Timing,
    pub(super) metrics: &'a MigrationMetrics,
    pub(super) leadership: &'a Leadership,
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is stored in the storage version, or there is no definition yet.
    Settled,
    /// The definition changed meanwhile.
    Again,
}

/// Why a pass ended early. The chain of causes says what the API server answered.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Error {
    #[error("read the CustomResourceDefinition: the service's ClusterRole must allow get of it")]
    ReadDefinition(#[source] kube::Error),
    #[error(
        "list the objects: the service's ClusterRole must allow list, and a conversion webhook must be up"
    )]
    List(#[source] kube::Error),
    #[error("rewrite {object}")]
    Rewrite { object: ObjectKey, source: kube::Error },
    #[error(
        "{count} objects cannot be rewritten, first {first}: mend or delete them, or if it is all of them, allow patch \
         of the kind in the service's ClusterRole"
    )]
    Refused { count: usize, first: ObjectKey, source: kube::Error },
    #[error(
        "write status.storedVersions: the service's ClusterRole must allow patch of customresourcedefinitions/status by \
         this name"
    )]
    WriteStatus(#[source] kube::Error),
    #[error("this replica does not lead any more")]
    NotLeading,
}

/// The objects that the API server did not take.
#[derive(Default)]
struct Refusals {
    count: usize,
    first: Option<(ObjectKey, kube::Error)>,
}

impl Pass<'_> {
    pub(super) async fn run(&self) -> Result<Step, Error> {
        let Some(begun) = self.look().await? else { return Ok(Step::Settled) };
        sleep(self.timing.settle).await;
        let stored = begun.stored_versions.join(", ");
        tracing::info!(crd = self.crd, stored, to = begun.resource.version, "Migrating what is stored");
        self.rewrite_all(&begun).await?;

        let Some(ended) = self.look().await? else { return Ok(Step::Settled) };
        if !begun.covers(&ended) {
            return Ok(Step::Again);
        }
        self.lead()?;
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        match definitions.patch_status(self.crd, &params(), &Patch::Merge(ended.finished())).await {
            Ok(_) => {
                self.metrics.pending(self.crd, false);
                tracing::info!(
                    crd = self.crd,
                    version = ended.resource.version,
                    "All is stored in one version"
                );
                Ok(Step::Settled)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Step::Again),
            Err(error) => Err(Error::WriteStatus(error)),
        }
    }

    /// The definition, if there is something to migrate.
    async fn look(&self) -> Result<Option<Outdated>, Error> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = definitions.get_opt(self.crd).await.map_err(Error::ReadDefinition)?;
        let outdated = found.as_ref().and_then(Outdated::of);
        self.metrics.pending(self.crd, outdated.is_some());
        Ok(outdated)
    }

    /// Goes through all objects. Those that come meanwhile are stored in the storage version.
    async fn rewrite_all(&self, outdated: &Outdated) -> Result<(), Error> {
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &outdated.resource);
        let mut pace = interval(self.timing.write_every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refusals = Refusals::default();
        let mut query = ListParams::default().limit(PAGE);
        loop {
            let listed = match all.list_metadata(&query).await {
                Ok(listed) => listed,
                // etcd has forgotten the version that the pages are of: go on in the present, from the same place.
                Err(kube::Error::Api(status))
                    if status.code == 410 && next_page(status.metadata.as_ref()).is_some() =>
                {
                    query.continue_token = next_page(status.metadata.as_ref());
                    continue;
                }
                Err(error) => return Err(Error::List(error)),
            };
            for object in &listed.items {
                self.rewrite(outdated, object, &mut pace, &mut refusals).await?;
            }
            query.continue_token = next_page(Some(&listed.metadata));
            if query.continue_token.is_none() {
                return refusals.into_result();
            }
        }
    }

    /// Has the API server write the object as it is: from the version in which it is stored to the storage version.
    async fn rewrite(
        &self,
        outdated: &Outdated,
        object: &PartialObjectMeta<DynamicObject>,
        pace: &mut Interval,
        refusals: &mut Refusals,
    ) -> Result<(), Error> {
        let key = ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any());
        let rewrite = match self.empty_patch(outdated, &key, pace).await? {
            Ok(after) if after.resource_version() == object.resource_version() => Rewrite::Unchanged,
            Ok(_) => Rewrite::Rewritten,
            Err(source) => match Failure::of(&source) {
                Failure::Gone => Rewrite::Gone,
                Failure::Written => Rewrite::Unchanged,
                Failure::Passing => return Err(Error::Rewrite { object: key, source }),
                Failure::Refused => {
                    let ObjectKey { namespace, name } = &key;
                    tracing::warn!(crd = self.crd, namespace, name, error = %source, "Cannot rewrite an object");
                    refusals.add(key, source);
                    Rewrite::Refused
                }
            },
        };
        self.metrics.object(self.crd, rewrite);
        if refusals.count < MOST_REFUSED { Ok(()) } else { std::mem::take(refusals).into_result() }
    }

    /// The API server's answer, after some attempts if it may be another next time.
    async fn empty_patch(
        &self,
        outdated: &Outdated,
        key: &ObjectKey,
        pace: &mut Interval,
    ) -> Result<kube::Result<PartialObjectMeta<DynamicObject>>, Error> {
        let api: Api<DynamicObject> = if outdated.is_namespaced {
            Api::namespaced_with(self.client.clone(), &key.namespace, &outdated.resource)
        } else {
            Api::all_with(self.client.clone(), &outdated.resource)
        };
        let mut waits = ATTEMPTS.into_iter();
        loop {
            pace.tick().await;
            self.lead()?;
            let answer = api.patch_metadata(&key.name, &params(), &Patch::Merge(json!({}))).await;
            let may_pass = matches!(&answer, Err(error) if Failure::of(error) == Failure::Passing);
            match waits.next() {
                Some(wait) if may_pass => sleep(wait).await,
                _ => return Ok(answer),
            }
        }
    }

    /// Asked before every write: the process may have been stopped for a while.
    fn lead(&self) -> Result<(), Error> {
        if self.leadership.is_held() { Ok(()) } else { Err(Error::NotLeading) }
    }
}

impl Refusals {
    fn add(&mut self, key: ObjectKey, error: kube::Error) {
        self.count += 1;
        self.first.get_or_insert((key, error));
    }

    fn into_result(self) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some((first, source)) => Err(Error::Refused { count: self.count, first, source }),
        }
    }
}

/// What the answer to an empty patch means.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// Nothing of it is stored any more.
    Gone,
    /// Another writer was there, and wrote the storage version.
    Written,
    /// The same will be said next time: the object breaks a rule that is younger than it is, or a right is missing.
    Refused,
    /// May go away by itself.
    Passing,
}

impl Failure {
    fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Passing };
        match status.code {
            404 | 410 => Self::Gone,
            409 => Self::Written,
            400 | 403 | 405 | 413 | 422 => Self::Refused,
            _ => Self::Passing,
        }
    }
}

/// The token of the page after this one, if there is one.
fn next_page(list: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>) -> Option<String> {
    list?.continue_.clone().filter(|token| !token.is_empty())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::deleted(404, Failure::Gone)]
    #[case::written_by_another(409, Failure::Written)]
    #[case::right_or_webhook(403, Failure::Refused)]
    #[case::invalid(422, Failure::Refused)]
    #[case::busy(429, Failure::Passing)]
    #[case::conversion_webhook_away(500, Failure::Passing)]
    #[case::token_expired(401, Failure::Passing)]
    fn reads_answers(#[case] code: u16, #[case] expected: Failure) {
        let error = kube::Error::Api(Status::failure("", "").with_code(code).boxed());
        assert_eq!(Failure::of(&error), expected);
    }

    #[test]
    fn an_unreachable_server_may_come_back() {
        assert_eq!(Failure::of(&kube::Error::Service("connection refused".into())), Failure::Passing);
    }
}
