//! All that is known of a request in hand.

use application_service_api::Component;
use build_service_api::names::{NAMESPACE, PIPELINE_CONFIG, PIPELINE_CONFIG_KEY, SELECTOR};
use build_service_api::{ErrorId, annotations};
use fleet::{ObjectKey, Write, patience};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::Stop;
use crate::args::AccountMode;
use crate::claim::Claim;
use crate::definition::{Built, component_account};
use crate::devfile::{self, Model};
use crate::failure::Failure;
use crate::git::Source;
use crate::pipeline::{Choice, Selected, Subject, choose, select};
use crate::{Context, image};

/// A request in hand, of a Component as it is at this moment.
pub(crate) struct Task<'a> {
    pub(crate) context: &'a Context,
    pub(crate) component: &'a Component,
    pub(crate) claim: &'a Claim,
    pub(crate) key: ObjectKey,
    pub(crate) source: Source,
    model: Model,
    image: String,
    account: Option<String>,
}

impl<'a> Task<'a> {
    pub(crate) fn new(
        context: &'a Context,
        component: &'a Component,
        claim: &'a Claim,
    ) -> Result<Self, Failure> {
        let waits = |what: &str| Failure::transient(format!("Component has no {what} any more"));
        let source = Source::of(component).ok_or_else(|| waits("git source"))??;
        let image = image::repository(component)?.ok_or_else(|| waits("image repository"))?;
        let text = component.status.as_ref().and_then(|status| status.devfile.as_deref());
        let is_own = context.args.service_account == AccountMode::PerComponent;
        Ok(Self {
            context,
            component,
            claim,
            key: ObjectKey::of(component),
            source,
            model: devfile::parse(text.unwrap_or_default())?,
            image,
            account: is_own.then(|| component_account(&component.name_any())),
        })
    }

    /// What is said of the Component in its runs.
    pub(crate) fn built<'b>(&'b self, selected: &'b Selected) -> Built<'b> {
        let git = self.component.spec.source.as_ref().and_then(|source| source.git.as_ref());
        Built {
            component: &self.key.name,
            application: &self.component.spec.application,
            namespace: &self.key.namespace,
            image: &self.image,
            context: git.and_then(|git| git.context.as_deref()).unwrap_or_default(),
            dockerfile: self.model.dockerfile.as_ref(),
            params: &selected.params,
            account: self.account.as_deref(),
        }
    }

    /// The pipeline that builds the Component: by selectors, or, where there is none at all, by the ConfigMap.
    pub(crate) async fn select(&self) -> Result<Selected, Stop> {
        let stores = &self.context.stores;
        let key = &self.key;
        let found = [
            stores.selectors.get(&key.sibling(&*self.component.spec.application)),
            stores.selectors.get(&key.sibling(SELECTOR)),
            stores.global_selectors.get(&ObjectKey::new(&*self.context.namespace, SELECTOR)),
        ];
        let mut objects: Vec<_> = found.iter().flatten().map(|object| &**object).collect();
        // An Application may have the name of the second.
        objects.dedup_by_key(|object| object.metadata.uid.clone());
        if objects.is_empty() {
            return self.choose().await;
        }
        let subject = Subject {
            name: &key.name,
            labels: self.component.labels(),
            annotations: self.component.annotations(),
            model: &self.model,
        };
        Ok(select(&objects, subject)?)
    }

    async fn choose(&self) -> Result<Selected, Stop> {
        let maps: Api<ConfigMap> = Api::namespaced(self.context.client.clone(), &self.context.namespace);
        let read = patience::read(|| maps.get_opt(PIPELINE_CONFIG)).await;
        let read =
            read.map_err(|error| Failure::of_api(&format!("read ConfigMap {PIPELINE_CONFIG}"), &error))?;
        let annotation = annotations::PIPELINE.of(&self.component.metadata.annotations);
        let Some(map) = read else {
            // Who names a pipeline of the ConfigMap does not look for a selector.
            let id = match annotation {
                Some(_) => ErrorId::PipelineConfigMissing,
                None => ErrorId::BuildPipelineSelectorNotDefined,
            };
            let detail = format!(
                "there is neither BuildPipelineSelector {0:?} nor {SELECTOR:?} in namespace {1:?}, nor {SELECTOR:?} or \
                 ConfigMap {PIPELINE_CONFIG:?} in namespace {NAMESPACE:?}",
                self.component.spec.application, self.key.namespace,
            );
            return Err(Failure::permanent(id, detail).into());
        };
        let text = map.data.as_ref().and_then(|data| data.get(PIPELINE_CONFIG_KEY));
        let Choice { selected, annotation } =
            choose(text.map(String::as_str).unwrap_or_default(), annotation)?;
        if let Some(annotation) = annotation {
            // For its user to see and to change. Without a version: nobody else writes where there is none.
            let changes = json!({"metadata": {"annotations": {annotations::PIPELINE.as_str(): annotation}}});
            let write = Write::patch(self.component, fleet::write::PatchKind::Merge, changes);
            self.context.write(&[write]).await.map_err(|error| Stop::of_write(&error))?;
        }
        Ok(selected)
    }
}
