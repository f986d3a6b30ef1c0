//! Carries out decided writes, and hands the answers to the stores.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fleet_api::keys;
use kube::api::{DeleteParams, DynamicObject, Patch as KubePatch, PatchParams, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::RwLock;
use prometheus::Registry;
use serde_json::{Value, json};

use crate::class::{Class, Classed, classify, is_permanent, is_too_large};
use crate::events::Publisher;
use crate::key::ObjectKey;
use crate::leader::Leadership;
use crate::patience;
use crate::store::{Store, Stored};
use crate::write::{Create, Delete, Patch, PatchKind, StatusApply, Target, Write};

/// Why a write did not happen.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("{write}: this replica does not lead any more")]
    NotLeading { write: String },
    #[error("{write}: an object of this name exists that is not ours")]
    Taken { write: String },
    #[error("{write}")]
    Refused { write: String, source: kube::Error },
}

impl Error {
    /// Whether asking again would be answered the same, so that the user has to be told.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { source, .. } => is_permanent(source),
            Self::Taken { .. } => true,
            Self::NotLeading { .. } => false,
        }
    }
}

impl Error {
    /// Whether what was to be written is more than an object can hold.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if is_too_large(source))
    }
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotLeading { .. } => Class::Retry,
            Self::Taken { .. } => Class::Wait,
            Self::Refused { source, .. } => classify(source),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

/// Takes the answer to a write into the store of its kind.
type Sink = Arc<dyn Fn(&DynamicObject) + Send + Sync>;

/// By group and kind; several stores may read different parts of one kind.
type Sinks = HashMap<(String, String), Vec<Sink>>;

/// The one place where this process writes to the API server. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    service: &'static str,
    events: Publisher,
    leadership: Leadership,
    sinks: Arc<RwLock<Sinks>>,
    /// Before a write that failed is tried again.
    pauses: &'static [Duration],
}

impl Writer {
    /// A writer that acts while `leadership` is held. `service` and `identity` are named in Events.
    pub fn new(client: Client, service: &'static str, identity: String, leadership: Leadership) -> Self {
        let events = Publisher::new(client.clone(), service, identity);
        Self { client, service, events, leadership, sinks: Arc::default(), pauses: &[] }
    }

    /// One that writes to another cluster while this one may write to its own. Its Events are counted with the others.
    pub(crate) fn elsewhere(&self, client: Client) -> Self {
        Self { events: self.events.elsewhere(client.clone()), client, sinks: Arc::default(), ..self.clone() }
    }

    /// The same, but a write that the API server could not carry out at the moment is tried again, up to four times within two
    /// seconds: for work of so many calls that beginning it anew is dear. Each write says what it expects, so that one which was
    /// carried out though its answer was lost is not done twice.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { pauses: &patience::PAUSES, ..self }
    }

    /// Counts Events in `registry`.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.events.register(registry)
    }

    /// Lets `store` see this process's own writes before its watch reports them.
    pub fn feed<K: Stored>(&self, store: &Store<K>) {
        let store = store.clone();
        let sink = move |object: &DynamicObject| match object.clone().try_parse::<K>() {
            Ok(object) => store.written(object),
            // The watch will bring it; until then decisions use what they had.
            Err(error) => tracing::debug!(name = object.name_any(), error = %error, "Answer does not parse"),
        };
        let resource = ApiResource::erase::<K>(&());
        self.sinks.write().entry((resource.group, resource.kind)).or_default().push(Arc::new(sink));
    }

    /// Carries out `writes` in order. The first failure stops the rest.
    pub async fn apply(&self, writes: &[Write]) -> Result<(), Error> {
        for write in writes {
            let mut pauses = self.pauses.iter();
            loop {
                // Boxed: whoever waits for it would be large too.
                match (Box::pin(self.carry_out(write)).await, pauses.next()) {
                    (Err(Error::Refused { source, .. }), Some(pause)) if patience::may_pass(&source) => {
                        tokio::time::sleep(*pause).await;
                    }
                    (Err(error), _) => return Err(error),
                    (Ok(()), _) => break,
                }
            }
        }
        Ok(())
    }

    async fn carry_out(&self, write: &Write) -> Result<(), Error> {
        // Asked before every single one: the process may have been stopped for a while in between.
        if !self.leadership.is_held() {
            return Err(Error::NotLeading { write: write.describe() });
        }
        let carried_out = match write {
            Write::Create(create) => self.create(create).await,
            Write::Patch(patch) => self.patch(patch).await,
            Write::Status(status) => self.apply_status(status).await,
            Write::Delete(delete) => self.delete(delete).await,
            Write::Event(event) => {
                self.events.publish(event).await;
                return Ok(());
            }
        };
        carried_out.map_err(|failure| match failure {
            Failure::Taken => Error::Taken { write: write.describe() },
            Failure::Api(source) => Error::Refused { write: write.describe(), source },
        })?;
        let key = write.key();
        tracing::info!(namespace = key.namespace, name = key.name, write = write.describe(), "Wrote");
        Ok(())
    }

    async fn create(&self, create: &Create) -> Result<(), Failure> {
        match self.create_or_adopt(create, &create.key.name).await {
            Err(Failure::Taken) => match &create.alternative {
                Some(alternative) => self.create_or_adopt(create, alternative).await,
                None => Err(Failure::Taken),
            },
            result => result,
        }
    }

    async fn create_or_adopt(&self, create: &Create, name: &str) -> Result<(), Failure> {
        let api = self.api(&create.resource, &create.key);
        let mut wanted = create.object.clone();
        wanted["metadata"]["name"] = json!(name);
        let wanted: DynamicObject = serde_json::from_value(wanted).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &wanted).await {
            Ok(created) => {
                self.hand_to_store(&create.resource, &created);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                // Read live: the store may not have it yet.
                let found = api.get(name).await?;
                if !is_ours(&wanted, &found) {
                    return Err(Failure::Taken);
                }
                self.hand_to_store(&create.resource, &found);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn patch(&self, patch: &Patch) -> Result<(), Failure> {
        let api = self.api(&patch.target.resource, &patch.target.key);
        let params = PatchParams { field_manager: Some(self.service.to_owned()), ..PatchParams::default() };
        let name = &patch.target.key.name;
        let answer = match patch.kind {
            PatchKind::Merge => api.patch(name, &params, &KubePatch::Merge(&patch.body)).await?,
            PatchKind::MergeStatus => api.patch_status(name, &params, &KubePatch::Merge(&patch.body)).await?,
            PatchKind::Strategic => api.patch(name, &params, &KubePatch::Strategic(&patch.body)).await?,
        };
        self.hand_to_store(&patch.target.resource, &answer);
        Ok(())
    }

    async fn apply_status(&self, apply: &StatusApply) -> Result<(), Failure> {
        let Target { resource, key, uid } = &apply.target;
        let api = self.api(resource, key);
        let mut body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            // The uid makes the server refuse an object of the same name that was made later.
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": apply.fields,
        });
        if let Some(version) = &apply.version {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        let params = PatchParams::apply(apply.manager.as_str()).force();
        let mut answer = api.patch_status(&key.name, &params, &KubePatch::Apply(&body)).await?;

        // Leaving a field out removes it only if nobody else wrote it, as the original did before a take-over.
        let left: Vec<_> =
            apply.cleared.iter().filter(|name| !answer.data["status"][**name].is_null()).collect();
        if !left.is_empty() {
            let nulls: serde_json::Map<_, _> =
                left.into_iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
            let body = json!({"metadata": {"uid": uid}, "status": nulls});
            answer = api.patch_status(&key.name, &PatchParams::default(), &KubePatch::Merge(&body)).await?;
        }
        self.hand_to_store(resource, &answer);
        for transition in &apply.transitions {
            self.events.publish_transition(&apply.target, transition).await;
        }
        Ok(())
    }

    async fn delete(&self, delete: &Delete) -> Result<(), Failure> {
        let Target { resource, key, uid } = &delete.target;
        let params = DeleteParams::background()
            .preconditions(Preconditions { uid: Some(uid.clone()), resource_version: None });
        match self.api(resource, key).delete(&key.name, &params).await {
            Ok(answer) => {
                if let Some(object) = answer.left() {
                    self.hand_to_store(resource, &object);
                }
                Ok(())
            }
            // Gone already is what we wanted. So is an object of the same name with another uid (conflict).
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn api(&self, resource: &ApiResource, key: &ObjectKey) -> Api<DynamicObject> {
        if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, resource)
        }
    }

    fn hand_to_store(&self, resource: &ApiResource, answer: &DynamicObject) {
        let sinks = self.sinks.read().get(&(resource.group.clone(), resource.kind.clone())).cloned();
        for sink in sinks.unwrap_or_default() {
            sink(answer);
        }
    }
}

enum Failure {
    Taken,
    Api(kube::Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

/// Whether `found` is what an earlier attempt of ours made: same owners, our labels, the same cause.
fn is_ours(wanted: &DynamicObject, found: &DynamicObject) -> bool {
    let owners_match = wanted
        .owner_references()
        .iter()
        .all(|owner| found.owner_references().iter().any(|other| other.uid == owner.uid));
    let labels_match = wanted.labels().iter().all(|(key, value)| found.labels().get(key) == Some(value));
    let cause = |object: &DynamicObject| keys::CAUSE.of(&object.metadata.annotations).map(str::to_owned);
    owners_match
        && labels_match
        && cause(wanted) == cause(found)
        && found.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn object(owner: &str, label: &str, cause: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a",
                "labels": {"l": label},
                "annotations": {"fleet.konflux-ci.dev/cause": cause},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": owner}],
            },
        }))
        .unwrap()
    }

    #[rstest]
    #[case::ours("u", "x", "c", true)]
    #[case::of_another_owner("v", "x", "c", false)]
    #[case::with_other_labels("u", "y", "c", false)]
    #[case::of_another_delivery("u", "x", "d", false)]
    fn adopts_only_its_own(
        #[case] owner: &str,
        #[case] label: &str,
        #[case] cause: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_ours(&object("u", "x", "c"), &object(owner, label, cause)), expected);
    }

    #[test]
    fn does_not_adopt_what_is_being_deleted() {
        let mut found = object("u", "x", "c");
        found.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2024-01-01T00:00:00Z")).unwrap());
        assert!(!is_ours(&object("u", "x", "c"), &found));
    }
}
