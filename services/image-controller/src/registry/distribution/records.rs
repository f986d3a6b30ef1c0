//! Repositories and robots as Secrets of our own namespace.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::super::Error;
use crate::tokens::record::Record;

const MANAGER: &str = "image-controller";
/// How often a change is decided anew because somebody else changed the record in between.
const ATTEMPTS: u32 = 5;

/// Reads and writes records. Its rights are get, create, patch and delete of Secrets in one namespace.
#[derive(Clone)]
pub(crate) struct Records {
    secrets: Api<Secret>,
}

/// A record as it is stored.
pub(crate) struct Found<R> {
    pub(crate) record: R,
    pub(crate) uid: String,
    version: String,
}

impl Records {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace) }
    }

    pub(crate) async fn find<R: Record>(&self, step: &str, name: &str) -> Result<Option<Found<R>>, Error> {
        let object = R::object_name(name);
        let secret = self.secrets.get_opt(&object).await.map_err(|error| Error::transient(step, &error))?;
        let Some(secret) = secret else { return Ok(None) };
        // Nobody but us writes here; what is something else is not touched.
        let record = R::read(&secret).ok_or_else(|| {
            Error::transient(step, &format!("Secret {object} is not the record of {name}; delete it"))
        })?;
        Ok(Some(Found {
            record,
            uid: secret.uid().unwrap_or_default(),
            version: secret.resource_version().unwrap_or_default(),
        }))
    }

    /// Whether it was made; false if there is one.
    pub(crate) async fn create<R: Record>(
        &self,
        step: &str,
        record: &R,
        description: &str,
    ) -> Result<bool, Error> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.secrets.create(&parameters, &record.write(description)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) => Err(Error::transient(step, &error)),
        }
    }

    /// Changes a record, if `change` makes any difference to it. `None` if there is none.
    pub(crate) async fn change<R: Record>(
        &self,
        step: &str,
        name: &str,
        mut change: impl FnMut(&mut R) -> Result<(), Error>,
    ) -> Result<Option<Found<R>>, Error> {
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            let Some(mut found) = self.find::<R>(step, name).await? else { return Ok(None) };
            let before = found.record.clone();
            change(&mut found.record)?;
            if found.record == before {
                return Ok(Some(found));
            }
            let patch = json!({
                "metadata": { "resourceVersion": found.version, "uid": found.uid },
                "data": found.record.write("").data,
            });
            let object = R::object_name(name);
            let parameters =
                PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            match self.secrets.patch(&object, &parameters, &Patch::Merge(&patch)).await {
                Ok(_) => return Ok(Some(found)),
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    refusal = Some(status);
                }
                Err(error) => return Err(Error::transient(step, &error)),
            }
        }
        let refusal = refusal.map(|status| status.message.clone()).unwrap_or_default();
        Err(Error::transient(step, &format!("others change it all the time: {refusal}")))
    }

    /// Whether there was one.
    pub(crate) async fn delete<R: Record>(&self, step: &str, name: &str) -> Result<bool, Error> {
        let Some(found) = self.find::<R>(step, name).await? else { return Ok(false) };
        let preconditions = Preconditions { uid: Some(found.uid), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.secrets.delete(&R::object_name(name), &parameters).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(Error::transient(step, &error)),
        }
    }
}
