//! Does what was decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use application_service_api::Component;
use build_service_api::events::EventReason;
use build_service_api::{annotations, names};
use fleet::write::PatchKind;
use fleet::{Event, MetadataPatch, ObjectKey, Wake, Write, patience};
use fleet_api::keys::CAUSE;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use serde_json::json;

use super::Context;
use super::decide::{self, Attempt, Failed, Next, cause, finish, pause};
use super::group::{self, Group};
use super::run::{self, Purpose};
use crate::failure::Failure;
use crate::renovate::config::{self, Nudge};

/// How long a token has to be good that a run begins with.
const TOKEN: SignedDuration = SignedDuration::from_mins(30);

/// How often in a row, and for how long, the credentials for a run cannot be had before that counts as a failure.
const TRIES: u32 = 3;
const LASTING: SignedDuration = SignedDuration::from_secs(10);

/// After something is known to need no run.
const SOON: Duration = Duration::from_millis(100);

/// What was tried, in Events.
const ACTION: &str = "Nudge";

pub(super) async fn act(
    context: &Context,
    key: &ObjectKey,
    component: Option<&Component>,
    groups: &[Group],
    next: Next,
) -> Result<Wake, Failure> {
    for run in &next.over {
        forget_token(context, run).await?;
    }
    for write in next.writes {
        context.writer.apply(&[write]).await?;
    }
    let Some(component) = component else { return Ok(next.wake) };
    let mut wake = next.wake;
    let now = context.clock.now();
    for attempt in &next.attempts {
        let begun = start_all(context, key, component, groups, attempt).await?;
        if begun.has_skipped {
            // No run of its tells us to look again.
            wake = wake.or(Wake::After(SOON), now);
        }
        if let Some((detail, retry_after)) = begun.trouble {
            let failed =
                Failed { build: attempt.build.clone(), times: attempt.number, reason: detail, since: now };
            let until = fail(context, key, component, &failed, retry_after).await?;
            wake = wake.or(Wake::At(until), now);
        } else if let Some(failure) = begun.passing {
            return Err(failure);
        }
    }
    for failed in &next.failures {
        let until = fail(context, key, component, failed, None).await?;
        wake = wake.or(Wake::At(until), now);
    }
    Ok(wake)
}

/// Why an attempt failed, and how long to wait if somebody said so.
type Trouble = (String, Option<SignedDuration>);

/// What came of an attempt.
#[derive(Default)]
struct Begun {
    trouble: Option<Trouble>,
    /// A repository is left out.
    has_skipped: bool,
    /// Of ours, not of the updater: tried again by the kit, and counted by nobody.
    passing: Option<Failure>,
}

/// What keeps a run from being started.
enum Hindrance {
    /// The API server could not be asked.
    Passing(Failure),
    /// There are no credentials, or none that can be had now.
    Access(Failure),
    /// The API server refuses it until somebody changes something.
    Refused(Failure),
}

impl Hindrance {
    /// A quota or a rule refuses until somebody changes it; anything else of the API server passes.
    fn of_write(error: fleet::WriteError) -> Self {
        if error.is_permanent() { Self::Refused(error.into()) } else { Self::Passing(error.into()) }
    }
}

/// Starts the runs of an attempt. What hinders one does not hinder the others.
async fn start_all(
    context: &Context,
    key: &ObjectKey,
    component: &Component,
    groups: &[Group],
    attempt: &Attempt,
) -> Result<Begun, Failure> {
    let mut begun = Begun::default();
    for group in attempt.groups.iter().filter_map(|index| groups.get(*index)) {
        match Box::pin(start(context, component, group, attempt)).await {
            Ok(()) => {}
            Err(Hindrance::Passing(failure)) => begun.passing = begun.passing.or(Some(failure)),
            Err(Hindrance::Refused(failure)) => {
                begun.trouble = begun.trouble.or(Some((failure.to_string(), None)));
            }
            Err(Hindrance::Access(failure @ Failure::Permanent { .. })) => {
                skip(context, key, group, attempt, &failure).await?;
                begun.has_skipped = true;
            }
            Err(Hindrance::Access(Failure::Transient { detail, retry_after })) => {
                // To find the credentials the API server was asked, too: one failure alone may have been its.
                if is_lasting(context, key, &cause(&attempt.build, group, attempt.number)) {
                    let retry_after = retry_after.and_then(|after| SignedDuration::try_from(after).ok());
                    begun.trouble = begun.trouble.or(Some((detail, retry_after)));
                } else {
                    begun.passing = begun.passing.or(Some(Failure::transient(detail)));
                }
            }
        }
    }
    Ok(begun)
}

/// Whether the credentials for a run could not be had for a while, at each of several tries. Counts this one.
fn is_lasting(context: &Context, key: &ObjectKey, cause: &str) -> bool {
    let now = context.clock.now();
    let mut memory = context.memory.lock();
    let tries = memory.tries.entry(key.clone()).or_default().entry(cause.to_owned());
    let (count, since) = tries.or_insert((0, now));
    *count += 1;
    let least = LASTING.min(context.options.nudge_retry_after);
    *count >= TRIES && now.duration_since(*since) >= least
}

/// Forgets about the tries of a run whose credentials were had.
fn succeeded(context: &Context, key: &ObjectKey, cause: &str) {
    if let Some(tries) = context.memory.lock().tries.get_mut(key) {
        tries.remove(cause);
    }
}

/// Starts a run, or goes on with one that is not let go yet.
async fn start(
    context: &Context,
    component: &Component,
    group: &Group,
    attempt: &Attempt,
) -> Result<(), Hindrance> {
    let source = group.source.as_ref().map_err(|failure| Hindrance::Access(failure.clone()))?;
    let namespace = component.namespace().unwrap_or_default();
    let token = context.gits.run_token(&namespace, source, TOKEN).await;
    let token = token.map_err(|none| Hindrance::Access(none.failure))?;
    let cause = cause(&attempt.build, group, attempt.number);
    succeeded(context, &ObjectKey::of(component), &cause);
    let custom = custom_settings(context, component, &namespace).await.map_err(Hindrance::Passing)?;
    let name = component.name_any();
    let nudge = Nudge {
        component: &name,
        image: &attempt.image.repository,
        tag: &attempt.image.tag,
        distributions: &context.stores.distributions(&ObjectKey::of(component)),
        files: annotations::NUDGE_FILES.of(&attempt.build.metadata.annotations),
        nudged: group.nudged.first().filter(|_| !group::has_simple_branch(component)).map(String::as_str),
        custom: &custom,
    };
    let mut settings = config::forge(source, token.app.as_ref(), token.user.as_deref());
    settings.extend(nudge.settings(&source.repository.to_string(), group.branch()));

    let purpose = Purpose { component, build: &attempt.build, image: &attempt.image, group, cause: &cause };
    let (wanted, alternative) = purpose.run(&context.options.updater, context.accounts);
    let own = ObjectKey::of(component);
    let run = if let Ok(run) = made(context, &own, &cause) {
        run
    } else {
        let create = Write::create(&wanted).or_named(alternative.as_str());
        context.writer.apply(&[create]).await.map_err(Hindrance::of_write)?;
        made(context, &own, &cause).map_err(Hindrance::Passing)?
    };
    // With these it can begin; it is let go last.
    for write in [
        Write::create(&run::config_map(&run, &settings)),
        Write::create(&run::secret(&run, &token.token)),
        Write::patch(&*run, PatchKind::Merge, json!({"spec": {"status": null}})),
    ] {
        context.writer.apply(&[write]).await.map_err(Hindrance::of_write)?;
    }
    tracing::info!(namespace, component = name, pipeline_run = run.name_any(), "Proposes an image");
    Ok(())
}

/// The run as the API server has it, which the writer has put into the store.
fn made(context: &Context, component: &ObjectKey, cause: &str) -> Result<Arc<PipelineRun>, Failure> {
    let runs = context.stores.nudges_of(component);
    let mut found = runs.into_iter().filter(|run| CAUSE.of(&run.metadata.annotations) == Some(cause));
    found.next().ok_or_else(|| Failure::transient("the run that was made is not known yet"))
}

/// What users set for all proposals, or for those of this Component.
async fn custom_settings(
    context: &Context,
    component: &Component,
    namespace: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let named = annotations::NUDGE_RENOVATE_CONFIG_MAP.of(&component.metadata.annotations);
    let name = named.filter(|name| !name.is_empty()).unwrap_or(names::NUDGE_RENOVATE_CONFIG);
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let found = patience::read(|| maps.get_opt(name)).await;
    let found = found.map_err(|error| Failure::of_api(&format!("ConfigMap {namespace}/{name}"), &error))?;
    Ok(found.and_then(|map| map.data).unwrap_or_default())
}

/// Leaves a repository out that cannot be reached until somebody changes something, and says so.
async fn skip(
    context: &Context,
    key: &ObjectKey,
    group: &Group,
    attempt: &Attempt,
    failure: &Failure,
) -> Result<(), Failure> {
    let reason: &'static str = EventReason::ErrorComponentProviderInfo.into();
    let note = format!("The image of {} is not proposed here: {failure}", key.name);
    let event = Event::warning(&*group.component, reason, ACTION, note).about(&*attempt.build);
    context.writer.apply(&[Write::Event(event)]).await?;
    let mut memory = context.memory.lock();
    // In all attempts: nothing has changed since.
    let causes = (1..=annotations::NUDGE_ATTEMPTS).map(|number| cause(&attempt.build, group, number));
    memory.skipped.entry(key.clone()).or_default().extend(causes);
    Ok(())
}

/// Counts a failure, tells of it, and gives up after the last. When it may be tried again.
async fn fail(
    context: &Context,
    key: &ObjectKey,
    component: &Component,
    failed: &Failed,
    retry_after: Option<SignedDuration>,
) -> Result<jiff::Timestamp, Failure> {
    let Failed { build, times, reason, since } = failed;
    let word: &'static str = EventReason::ComponentNudgeFailed.into();
    let note = format!(
        "The image of run {} could not be proposed, retry {times}/{}: {reason}",
        build.name_any(),
        annotations::NUDGE_ATTEMPTS
    );
    let until = *since + retry_after.unwrap_or_else(|| pause(context.options.nudge_retry_after, *times));
    let count = times.to_string();
    let counted = MetadataPatch::of(&**build).annotation(annotations::NUDGE_FAILURES, Some(&count));
    let is_last = *times >= annotations::NUDGE_ATTEMPTS;
    let counted = if is_last {
        let processed = counted.annotation(annotations::NUDGE_PROCESSED, Some("true"));
        processed.without_finalizer(build_service_api::finalizers::NUDGE)
    } else {
        counted
    };
    let mut writes = vec![Write::Event(Event::warning(component, word, ACTION, note).about(&**build))];
    writes.extend(counted.into_write());
    {
        let mut memory = context.memory.lock();
        let of_component = memory.not_before.entry(key.clone()).or_default();
        let now = context.clock.now();
        of_component.retain(|_, until| *until > now);
        if let Some(uid) = build.uid().filter(|_| !is_last) {
            of_component.insert(uid, until);
        }
    }
    context.writer.apply(&writes).await?;
    Ok(until)
}

/// Deletes the token of a run that is over, then notes that on the run.
async fn forget_token(context: &Context, run: &PipelineRun) -> Result<(), Failure> {
    let key = ObjectKey::of(run);
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    let at_once = DeleteParams::default();
    match patience::read(|| secrets.delete(&key.name, &at_once)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(Failure::of_api(&format!("delete Secret {key}"), &error)),
        Ok(_) => tracing::debug!(namespace = key.namespace, name = key.name, "Token deleted"),
    }
    let write = if decide::is_processed(run) { None } else { finish(run) };
    context.writer.apply(&Vec::from_iter(write)).await?;
    Ok(())
}
