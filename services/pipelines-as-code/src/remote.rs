//! Tasks and pipelines from elsewhere, and runs that have in themselves what they refer to (spec section 4.6).
//!
//! ```text
//! annotations ─▶ Reference ─▶ Fetcher ─▶ documents ─▶ Found ─▶ inline ─▶ run without references
//!                  of the event's repository, its forge, a hub, the web     to what is not in the cluster
//! ```
//! References are written by whoever may open a pull request. Files of the forge are read with the event's own credential, all
//! else without any, and only what [`fleet::outbound`] lets through.

mod address;
mod annotations;
mod fetch;
mod inline;
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use fleet::outbound;
use forge::Forge;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pipelines_engine_api::{Pipeline, PipelineRun, Task};

use self::annotations::Asked;
pub use self::fetch::FetchError;
use self::fetch::Fetcher;
use self::inline::Found;
use self::reference::{Kind, Remote, Surroundings};
use crate::definitions::Definitions;
use crate::event::Event;
use crate::settings::Settings;

/// References that are followed at once.
const AT_ONCE: usize = 8;

/// Why a run cannot have in itself what it refers to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("annotation {key}: {reason}")]
    Annotation { key: String, reason: String },
    #[error("annotation {key}: {reference:?} {error}")]
    Fetch { key: String, reference: String, error: Arc<FetchError> },
    #[error("annotation {key}: {reference:?} holds no {kind} that can be read: {reason}")]
    Content { key: String, reference: String, kind: Kind, reason: String },
    #[error(
        "Pipeline {0:?} is not in .tekton/ of this commit: add it there, or the annotation {pipeline} with the place where it is",
        pipeline = pipelines_as_code_api::annotations::read::PIPELINE
    )]
    NoPipeline(String),
    #[error(
        "Task {task:?}, which {user:?} of the pipeline refers to, is not in .tekton/ of this commit: add it there, or the annotation {key} with the place where it is",
        key = pipelines_as_code_api::annotations::read::TASK
    )]
    NoTask { task: String, user: String },
}

impl Error {
    /// Whether it may be otherwise in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Fetch { error, .. } if error.is_transient())
    }
}

/// Follows references. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    outbound: outbound::Client,
}

impl Resolver {
    pub fn new(outbound: outbound::Client) -> Self {
        Self { outbound }
    }

    /// For all runs of one event: what two of them name is fetched once.
    pub fn of_event<'a>(
        &'a self,
        forge: &'a dyn Forge,
        event: &'a Event,
        settings: &'a Settings,
    ) -> OfEvent<'a> {
        OfEvent { event, settings, fetcher: Fetcher::new(forge, &self.outbound) }
    }
}

/// Follows the references of one event's runs.
pub struct OfEvent<'a> {
    event: &'a Event,
    settings: &'a Settings,
    fetcher: Fetcher<'a>,
}

impl OfEvent<'_> {
    /// The run with the pipeline and the tasks that it refers to in itself.
    pub async fn resolve(&self, definitions: &Definitions, run: &PipelineRun) -> Result<PipelineRun, Error> {
        let surroundings = Surroundings {
            provider: self.event.provider,
            server: &self.event.server,
            catalogs: &self.settings.catalogs,
            repository: &definitions.repository,
            commit: &definitions.commit,
        };
        let mut found = Found::default();
        let is_inlined = run.spec.pipeline_ref.as_ref().is_none_or(inline::is_local);
        if self.settings.remote_tasks && is_inlined {
            let notes = run.metadata.annotations.as_ref();
            if run.spec.pipeline_ref.is_some()
                && let Some(asked) = annotations::pipeline(notes)?
            {
                found.pipelines = self.fetch::<Pipeline>(&surroundings, Kind::Pipeline, &asked).await?;
            }
            found.tasks = self.tasks(&surroundings, annotations::tasks(notes)?).await?;
            for pipeline in &found.pipelines {
                let further = annotations::tasks(pipeline.metadata.annotations.as_ref())?;
                found.tasks.extend(self.tasks(&surroundings, further).await?);
            }
        }
        found.pipelines.extend(definitions.pipelines.iter().cloned());
        found.tasks.extend(definitions.tasks.iter().cloned());
        inline::inlined(run, &found)
    }

    async fn tasks(&self, surroundings: &Surroundings<'_>, asked: Vec<Asked>) -> Result<Vec<Task>, Error> {
        let tasks = stream::iter(asked)
            .map(|asked| async move { self.fetch::<Task>(surroundings, Kind::Task, &asked).await })
            .buffered(AT_ONCE);
        let tasks: Vec<Vec<Task>> = tasks.try_collect().await?;
        Ok(tasks.concat())
    }

    /// What of one kind is behind a reference: one or more.
    async fn fetch<K: Remote>(
        &self,
        surroundings: &Surroundings<'_>,
        kind: Kind,
        asked: &Asked,
    ) -> Result<Vec<K>, Error> {
        let Asked { key, reference } = asked;
        let parsed = surroundings
            .parse(kind, reference)
            .map_err(|reason| Error::Annotation { key: key.clone(), reason })?;
        let text = self.fetcher.fetch(parsed).await.map_err(|error| Error::Fetch {
            key: key.clone(),
            reference: reference.clone(),
            error,
        })?;
        reference::objects(kind, &text).map_err(|reason| Error::Content {
            key: key.clone(),
            reference: reference.clone(),
            kind,
            reason,
        })
    }
}
