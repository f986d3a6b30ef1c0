//! Runs at the API server: made once however often a delivery is processed (contracts.md d; spec sections 4.9 and 4.10).

use std::time::Duration;

use fleet::controller::chain;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use pipelines_as_code_api::events::EventReason;
use pipelines_engine_api::PipelineRun;

use super::stop::Stop;
use crate::runs;

/// Why a run was not made.
#[derive(Debug)]
pub(crate) enum NotMade {
    /// The API server will not have it, in its own words.
    Refused(String),
    /// It may have it later: webhooks are away, a quota is used up.
    Later { text: String },
}

impl NotMade {
    fn of(error: &kube::Error) -> Self {
        let text = chain(error);
        match error {
            kube::Error::Api(status) if is_permanent(status.code, &status.message) => {
                Self::Refused(status.message.clone())
            }
            _ => Self::Later { text },
        }
    }
}

/// contracts.md b: answers to a create that stay the same. A quota may be free again in a moment.
fn is_permanent(code: u16, message: &str) -> bool {
    match code {
        400 | 401 | 405 | 413 | 422 => true,
        403 => !message.contains("exceeded quota"),
        _ => false,
    }
}

/// Makes the run, or finds the one that this delivery made before. `alternative` is its name if another's run has its own.
pub(crate) async fn run(
    client: &Client,
    wanted: &PipelineRun,
    alternative: &str,
) -> Result<PipelineRun, NotMade> {
    let api: Api<PipelineRun> = Api::namespaced(client.clone(), &wanted.namespace().unwrap_or_default());
    if let Some(made) = create_or_find(&api, wanted, |found| runs::adopts(found, wanted)).await? {
        return Ok(made);
    }
    // The other name is as much ours at every attempt.
    let mut renamed = wanted.clone();
    renamed.metadata.name = Some(alternative.to_owned());
    let made = create_or_find(&api, &renamed, |found| runs::adopts(found, &renamed)).await?;
    made.ok_or_else(|| {
        NotMade::Refused(format!(
            "PipelineRuns {} and {alternative} exist already and are not of this event: delete one of them",
            wanted.name_any(),
        ))
    })
}

/// Between tries within one attempt. An API server is seldom away for longer, and a new attempt asks the forge for all again.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// `None` if there is one that is not ours.
async fn create_or_find<K>(
    api: &Api<K>,
    wanted: &K,
    is_ours: impl Fn(&K) -> bool,
) -> Result<Option<K>, NotMade>
where
    K: kube::Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    for pause in PAUSES {
        match try_to_create_or_find(api, wanted, &is_ours).await {
            Err(NotMade::Later { .. }) => tokio::time::sleep(pause).await,
            ended => return ended,
        }
    }
    try_to_create_or_find(api, wanted, &is_ours).await
}

async fn try_to_create_or_find<K>(
    api: &Api<K>,
    wanted: &K,
    is_ours: &impl Fn(&K) -> bool,
) -> Result<Option<K>, NotMade>
where
    K: kube::Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match api.create(&PostParams::default(), wanted).await {
        Ok(created) => Ok(Some(created)),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let name = wanted.meta().name.as_deref().unwrap_or_default();
            let found = api.get(name).await.map_err(|error| NotMade::of(&error))?;
            Ok(is_ours(&found).then_some(found))
        }
        Err(error) => Err(NotMade::of(&error)),
    }
}

/// The Secret by which the run's steps reach the repository. It goes with the run.
pub(crate) async fn git_auth(client: &Client, wanted: &Secret) -> Result<(), Stop> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &wanted.namespace().unwrap_or_default());
    let owner = wanted.owner_references().first().map(|owner| owner.uid.clone());
    let is_ours = |found: &Secret| found.owner_references().first().map(|owner| owner.uid.clone()) == owner;
    let name = wanted.name_any();
    match create_or_find(&api, wanted, is_ours).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Stop::wrong(
            EventReason::RepositorySecretValidation,
            format!("Secret {name} exists already and does not belong to the run that needs it: delete it"),
        )),
        Err(NotMade::Refused(text)) => Err(Stop::wrong(
            EventReason::RepositorySecretValidation,
            format!("Secret {name} with the credentials of the run is refused: {text}"),
        )),
        Err(NotMade::Later { text }) => Err(Stop::later(format!("Secret {name} cannot be made: {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::invalid(422, "spec.params: Invalid value", true)]
    #[case::denied_by_the_engine(400, "admission webhook denied the request", true)]
    #[case::forbidden(403, "cannot create resource", true)]
    #[case::quota(403, "exceeded quota: count, requested: 1", false)]
    #[case::webhook_away(500, "failed calling webhook", false)]
    #[case::too_many(429, "too many requests", false)]
    #[case::conflict(409, "object is being deleted", false)]
    fn knows_what_stays_refused(#[case] code: u16, #[case] message: &str, #[case] expected: bool) {
        assert_eq!(is_permanent(code, message), expected);
    }
}
