//! Carries out what is decided about requests.

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Store, Wake, Write, WriteError, Writer};
use pipelines_engine_api::{ResolutionRequest, ResolutionRequestStatus};
use serde_json::json;

use super::answer::Answer;
use super::decide::{answered, is_over, lived};
use super::resolver::{Question, Resolver, type_of};
use super::settings::CurrentSettings;
use crate::background::Lookups;

/// Answers that are remembered; each may be as large as an object.
const REMEMBERED: usize = 64;

/// Marks requests as in progress and as timed out.
pub fn lifecycle(fleet: &Fleet, requests: &Store<ResolutionRequest>, settings: &CurrentSettings) -> Runner {
    let (store, settings) = (requests.clone(), settings.clone());
    let (writer, clock) = (fleet.writer().clone(), fleet.clock().clone());
    let controller = settings.consulted_by(fleet.controller("resolution-lifecycle").of(requests));
    controller.reconcile(move |key| {
        let decided = store.get(&key).map(|request| {
            let decided = lived(&request, type_of(&request), clock.now(), settings.get().max_resolution);
            (request, decided)
        });
        let writer = writer.clone();
        async move {
            let Some((request, decided)) = decided else { return Ok(Wake::OnChange) };
            write(&writer, &request, decided.status).await?;
            Ok::<_, WriteError>(decided.wake.map_or(Wake::OnChange, Wake::At))
        }
    })
}

/// Answers requests for git, bundles and cluster. `own` is the namespace of the resolvers.
pub fn resolvers(
    fleet: &Fleet,
    requests: &Store<ResolutionRequest>,
    settings: &CurrentSettings,
    resolver: Resolver,
    own: &str,
) -> Runner {
    let controller = settings.consulted_by(fleet.controller("resolver").of(requests));
    let waker = controller.waker();
    let resolving = Arc::new(Resolving {
        requests: requests.clone(),
        settings: settings.clone(),
        resolver,
        own: own.to_owned(),
        lookups: Lookups::new(REMEMBERED, Arc::new(move |key| waker.wake(key))),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
    });
    controller.reconcile(move |key| Arc::clone(&resolving).reconcile(key))
}

struct Resolving {
    requests: Store<ResolutionRequest>,
    settings: CurrentSettings,
    resolver: Resolver,
    own: String,
    lookups: Lookups<Question, Answer>,
    writer: Writer,
    clock: fleet::Clock,
}

impl Resolving {
    async fn reconcile(self: Arc<Self>, key: ObjectKey) -> Result<Wake, WriteError> {
        let Some(request) = self.requests.get(&key) else { return Ok(Wake::OnChange) };
        let now = self.clock.now();
        let settings = self.settings.get();
        if is_over(&request, now, settings.max_resolution) {
            return Ok(Wake::OnChange);
        }
        let answer = match Question::of(&request, &self.own, &settings) {
            None => return Ok(Wake::OnChange),
            Some(Err(why)) => Answer::Failed(why),
            Some(Ok(question)) => {
                let look = || self.resolver.clone().find(question.clone(), key.namespace.clone());
                match self.lookups.ask(&question, &key, look) {
                    Some(answer) => answer,
                    // Woken when there is an answer.
                    None => return Ok(Wake::OnChange),
                }
            }
        };
        write(&self.writer, &request, answered(&request, &answer, now)).await?;
        Ok(Wake::OnChange)
    }
}

async fn write(
    writer: &Writer,
    request: &ResolutionRequest,
    status: Option<ResolutionRequestStatus>,
) -> Result<(), WriteError> {
    match status {
        Some(status) => writer.apply(&[Write::merge_status(request, json!({"status": status}))]).await,
        None => Ok(()),
    }
}
