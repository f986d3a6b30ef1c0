//! One Secret for each Application that pulls all its images, linked to the account of integration tests.
//!
//! Others' Secrets lie in the namespace beside those that are put together here; only what the `ImageRepository`s of the Application
//! name in their status is taken in.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Application;
use fleet::{Fleet, ObjectKey, Runner, Wake};
use image_controller_api::names::INTEGRATION_RUNNER;
use image_controller_api::{ImageRepository, labels};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;

use crate::Context;
use crate::image_repository::Error;
use crate::stores::{BY_APPLICATION, BY_NAMESPACE, Stores, named_by};
use decide::{Observed, decide};

/// How long after a change of an `ImageRepository` its Application is looked at: many change together.
const TOGETHER: Duration = Duration::from_millis(500);

/// `None` where accounts are shared.
pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Option<Runner> {
    let applications = context.stores.applications.clone()?;
    let context = Arc::clone(context);
    let of_runner = context.stores.clone();
    let runner = fleet
        .controller("application-pull")
        .of(&applications)
        .reads_changes_after(&context.stores.image_repositories, TOGETHER, |change| {
            let objects = change.old.iter().chain(&change.new);
            objects.flat_map(|object| named_by(object, labels::APPLICATION)).collect()
        })
        .reads_changes(&context.stores.accounts, move |change| {
            if change.key.name == INTEGRATION_RUNNER { all_of(&of_runner, &change.key) } else { Vec::new() }
        })
        .reconcile(move |key| reconcile(key, applications.clone(), Arc::clone(&context)));
    Some(runner)
}

/// The Applications of a namespace that have images.
fn all_of(stores: &Stores, key: &ObjectKey) -> Vec<ObjectKey> {
    let objects = stores.image_repositories.indexed(BY_NAMESPACE, &ObjectKey::new(&key.namespace, ""));
    objects.iter().flat_map(|object: &Arc<ImageRepository>| named_by(object, labels::APPLICATION)).collect()
}

async fn reconcile(
    key: ObjectKey,
    applications: fleet::Store<Application>,
    context: Arc<Context>,
) -> Result<Wake, Error> {
    let Some(application) = applications.get(&key) else { return Ok(Wake::OnChange) };
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    let of_application = format!("{}=true,{}={}", labels::INTERNAL, labels::APPLICATION, key.name);
    let image_repositories = context.stores.image_repositories.indexed(BY_APPLICATION, &key);
    let name = decide::name(&application);
    let read = |source| crate::delivery::Error::Read { name: name.clone(), source };
    // What has no images, and never had, costs no request.
    if image_repositories.is_empty() && !decide::is_known(&application) {
        return Ok(Wake::OnChange);
    }
    let seen = Observed {
        present: secrets.get_opt(&name).await.map_err(read)?,
        parts: secrets.list(&ListParams::default().labels(&of_application)).await.map_err(read)?.items,
        of_namespace: super::namespace::find(&context, &key.namespace).await?,
        account: context.stores.accounts.get(&key.sibling(INTEGRATION_RUNNER)),
        application,
        image_repositories,
    };
    context.writer.apply(&decide(&seen)?).await?;
    Ok(Wake::OnChange)
}
