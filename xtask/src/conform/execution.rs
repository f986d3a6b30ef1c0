//! Runs one case.
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    case::{Act, Case},
    expectation::{self, Expectation, Standing},
    explanation,
    matching::differences,
    world::{Place, World, eventually},
};

/// How long what follows the end of a run may take: logs, Events, sidecars that end.
const SETTLES: Duration = Duration::from_secs(15);

pub enum Outcome {
    Passed,
    Skipped(String),
    /// What differs, and what was found.
    Failed(String),
}

/// In a namespace of its own, which is removed (unless the case failed: the caller decides about those).
pub async fn run(world: &World, case: &Case) -> Outcome {
    if let Some(why) = case.header.needs.iter().find_map(|need| world.lacks(*need)) {
        return Outcome::Skipped(why.to_owned());
    }
    let place = match world.place(&case.name, &case.header.namespace_labels).await {
        Ok(place) => place,
        Err(error) => return Outcome::Failed(format!("{error:#}")),
    };
    let outcome = match play(&place, case).await {
        Ok(None) => Outcome::Passed,
        Ok(Some(why)) => Outcome::Skipped(why),
        Err(error) => return Outcome::Failed(format!("{error:#}\n{}", explanation::of(&place).await)),
    };
    match place.remove().await {
        Ok(()) => outcome,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// `Some` tells why the case does not apply here.
async fn play(place: &Place<'_>, case: &Case) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + Duration::from_secs(case.header.limit);
    let (header, objects) = case.instance(&place.names())?;
    for object in objects {
        let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
        if let Err(refusal) = create(place, &object).await {
            let says = refusal.to_string();
            if let Some(flag) = header.flags.iter().find(|flag| says.contains(flag.as_str())) {
                return Ok(Some(format!("the engine has not turned on {flag}")));
            }
            return Err(anyhow::Error::new(refusal).context(format!("create {kind}/{name}")));
        }
    }
    for act in &header.then {
        perform(place, act, deadline).await?;
    }
    for expectation in &header.expect {
        meets(place, expectation, deadline).await?;
    }
    Ok(None)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

async fn create(place: &Place<'_>, object: &Value) -> kube::Result<DynamicObject> {
    let api_version = text(object, "/apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let api: Api<DynamicObject> = place.api_of(&GroupVersionKind::gvk(group, version, text(object, "/kind")));
    let object = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &object).await
}

async fn perform(place: &Place<'_>, act: &Act, deadline: Instant) -> anyhow::Result<()> {
    let patch = async |of: &super::case::Address, with: &Value| {
        let api = place.api(&of.kind)?;
        anyhow::Ok(api.patch(&of.name, &PatchParams::default(), &Patch::Merge(with)).await)
    };
    match act {
        Act::Await { of, is } => {
            let api = place.api(&of.kind)?;
            eventually(deadline, async || {
                let Some(found) = api.get_opt(&of.name).await? else {
                    return Ok(Some(format!("{of} does not exist")));
                };
                let has_ended = expectation::has_ended(&found.data);
                let differ = differences(is, &serde_json::to_value(found)?);
                if has_ended && !differ.is_empty() {
                    bail!("it has ended: {}", differ.join("\n"));
                }
                Ok((!differ.is_empty()).then(|| differ.join("\n")))
            })
            .await
            .with_context(|| format!("wait for {of}"))
        }
        Act::Patch { of, with } => patch(of, with).await?.map(drop).with_context(|| format!("patch {of}")),
        Act::Create(object) => create(place, object).await.map(drop).context("create an object of `then`"),
        Act::Delete(of) => {
            let deleted = place.api(&of.kind)?.delete(&of.name, &kube::api::DeleteParams::default()).await;
            deleted.map(drop).with_context(|| format!("delete {of}"))
        }
        Act::Refuses { object, says } => refused(create(place, object).await, says),
        Act::RefusesPatch { of, with, says } => refused(patch(of, with).await?, says),
    }
}

/// The API server has refused something, and named all of these.
fn refused(outcome: kube::Result<DynamicObject>, says: &[String]) -> anyhow::Result<()> {
    match outcome {
        Ok(object) => bail!(
            "{} {} was accepted, and should have been refused: {}",
            object.types.map(|types| types.kind).unwrap_or_default(),
            object.metadata.name.unwrap_or_default(),
            says.join(", ")
        ),
        Err(kube::Error::Api(status)) => {
            match says.iter().find(|part| !status.message.contains(part.as_str())) {
                None => Ok(()),
                Some(part) => bail!("the refusal does not contain {part:?}: {}", status.message),
            }
        }
        Err(error) => Err(error.into()),
    }
}

async fn meets(place: &Place<'_>, expectation: &Expectation, deadline: Instant) -> anyhow::Result<()> {
    let settled = Instant::now() + SETTLES;
    let until = if expectation.is_of_run() { deadline } else { settled };
    // A run that has just ended may still be written to, but not for long.
    let differs_until = parking_lot::Mutex::new(None);
    eventually(until, async || {
        Ok(match expectation.look(place).await? {
            Standing::Holds => None,
            Standing::Waits(what) => Some(what),
            Standing::Differs(what) => {
                let patience = *differs_until.lock().get_or_insert_with(|| Instant::now() + SETTLES / 5);
                if Instant::now() > patience {
                    bail!("{what}");
                }
                Some(what)
            }
        })
    })
    .await
}
