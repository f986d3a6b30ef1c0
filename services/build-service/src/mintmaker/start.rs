//! Begins the run of one branch.

use std::sync::Arc;

use application_service_api::Component;
use build_service_api::labels::mintmaker::INJECT_TRUSTED_CA;
use build_service_api::names::mintmaker::{RENOVATE_CONFIG, RENOVATE_CONFIG_KEY, SELF_HOSTED_CONFIG_KEY};
use build_service_api::{DependencyUpdateCheck, ErrorId};
use fleet::write::PatchKind;
use fleet::{ObjectKey, Write};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;
use serde_json::{Value, json};

use super::branch::{Branch, branch_hash, branch_name};
use super::progress::Outcome;
use super::run::{self, Purpose};
use super::{Context, clean, credentials};
use crate::failure::Failure;
use crate::git::{Mode, Source};
use crate::renovate::{config, step};

/// What the runs of a while have in common.
pub(super) struct Batch {
    /// The platform team's settings.
    base: Value,
    /// ConfigMap with certificates that are trusted.
    authority: String,
}

impl Batch {
    pub(super) async fn new(context: &Context) -> Result<Self, Failure> {
        let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.namespace);
        let found = maps.get_opt(RENOVATE_CONFIG).await;
        let found =
            found.map_err(|error| Failure::of_api(&format!("ConfigMap {RENOVATE_CONFIG}"), &error))?;
        let mut base = json!({});
        let data = found.and_then(|map| map.data).unwrap_or_default();
        for key in [RENOVATE_CONFIG_KEY, SELF_HOSTED_CONFIG_KEY] {
            let Some(text) = data.get(key).filter(|text| !text.trim().is_empty()) else { continue };
            let over: Value = serde_json::from_str(text).map_err(|error| {
                Failure::transient(format!("ConfigMap {RENOVATE_CONFIG}, key {key}: it is no JSON: {error}"))
            })?;
            run::overlay(&mut base, over);
        }
        let selector = format!("{INJECT_TRUSTED_CA}=true");
        let listed = maps.list(&ListParams::default().labels(&selector)).await;
        let listed = listed.map_err(|error| Failure::of_api("ConfigMaps with certificates", &error))?;
        let authority =
            listed.items.first().map_or_else(|| step::TRUSTED_CA.to_owned(), kube::ResourceExt::name_any);
        Ok(Self { base, authority })
    }
}

/// What a forge says of a branch.
struct Found {
    component: Arc<Component>,
    branch: String,
    commit: String,
    mode: Mode,
}

/// Begins the run of a branch, unless there is no need.
pub(super) async fn start(
    context: &Context,
    batch: &Batch,
    check: &DependencyUpdateCheck,
    branch: &Branch,
) -> Result<Outcome, Failure> {
    let source = branch.source.as_ref().map_err(Clone::clone)?;
    let Some(found) = find(context, branch, source).await? else { return Ok(Outcome::LeftOut) };
    let purpose =
        Purpose { check, component: &found.component, source, branch: &found.branch, commit: &found.commit };
    let own = ObjectKey::new(context.namespace.as_str(), purpose.name());
    let hash = branch_hash(&branch_name(source, &found.branch));
    match context.stores.runs.get(&own) {
        // The same branch, by its name and as the default one.
        Some(run) if run::component(&run) != Some(ObjectKey::of(&*found.component)) => {
            return Ok(Outcome::LeftOut);
        }
        // We were killed before that was noted.
        Some(run) if run.spec.status != PENDING => return Ok(Outcome::Scheduled),
        Some(_) => {}
        None => {
            let args = &context.args;
            let (notes, now) = (&context.stores.notes, context.clock.now());
            let is_unchanged = || {
                let age = args.skip_unchanged_for;
                clean::is_unchanged(notes, &context.namespace, &hash, &found.commit, age, now)
            };
            if context.stores.going_on(&context.namespace, &hash).is_some() || is_unchanged() {
                return Ok(Outcome::LeftOut);
            }
        }
    }
    let made = Box::pin(make(context, batch, &purpose, found.mode.clone())).await;
    if let Err(Failure::Permanent { .. }) = &made
        && let Some(run) = context.stores.runs.get(&own)
    {
        // What goes with it goes too.
        context.writer.apply(&[Write::delete(&*run)]).await?;
    }
    made.map(|()| Outcome::Scheduled)
}

/// By the credentials of the first Component that has some. `None` if it is no branch.
async fn find(context: &Context, branch: &Branch, source: &Source) -> Result<Option<Found>, Failure> {
    let mut refused = None;
    for component in &branch.components {
        let namespace = component.namespace().unwrap_or_default();
        let access = match context.gits.access(&namespace, source).await.map_err(Failure::from) {
            Ok(access) => access,
            Err(failure @ Failure::Permanent { .. }) => {
                refused = refused.or(Some(failure));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let name = access.branch(source).await?;
        let commit = match access.head(source, &name).await {
            Ok(commit) => commit.to_string(),
            // Of a tag nothing newer can be proposed.
            Err(failure @ Failure::Permanent { .. }) => {
                let is_there = access.changes.commit(&source.repository, &name).await.is_ok();
                return if is_there { Ok(None) } else { Err(failure) };
            }
            Err(failure) => return Err(failure),
        };
        let component = Arc::clone(component);
        return Ok(Some(Found { component, branch: name, commit, mode: access.mode.clone() }));
    }
    Err(refused.unwrap_or_else(|| Failure::permanent(ErrorId::Unknown, "no Component is built from it")))
}

/// Makes the run with all that it needs, then lets it go.
async fn make(context: &Context, batch: &Batch, purpose: &Purpose<'_>, mode: Mode) -> Result<(), Failure> {
    let component = ObjectKey::of(purpose.component);
    let logins = credentials::logins(&context.client, &component).await?;
    let (token, forge) = match mode {
        // Good for an hour: it comes when the pod starts.
        Mode::App(app) => (None, config::forge(purpose.source, app.as_ref(), None)),
        Mode::Token(_) => {
            let least = context.life.least();
            let token = context.gits.run_token(&component.namespace, purpose.source, least).await;
            let token = token.map_err(Failure::from)?;
            let forge = config::forge(purpose.source, None, token.user.as_deref());
            (Some(token.token), forge)
        }
    };
    let wanted = purpose.run(&context.args, &batch.authority, logins.is_some());
    context.writer.apply(&[Write::create(&wanted)]).await.map_err(refused)?;
    let run: Arc<PipelineRun> = context
        .stores
        .runs
        .get(&ObjectKey::of(&wanted))
        .ok_or_else(|| Failure::transient("the run that was made is not known yet"))?;
    let base = batch.base.clone();
    let writes = [
        Write::create(&run::config_map(&run, base, purpose.source, purpose.branch, forge)),
        Write::create(&run::secret(&run, token.as_ref(), logins.as_ref())),
        Write::patch(&*run, PatchKind::Merge, json!({"spec": {"status": null}})),
    ];
    context.writer.apply(&writes).await.map_err(refused)?;
    tracing::info!(
        namespace = component.namespace,
        component = component.name,
        pipeline_run = run.name_any(),
        "Looks through a branch"
    );
    Ok(())
}

fn refused(error: fleet::WriteError) -> Failure {
    if error.is_permanent() {
        Failure::permanent(ErrorId::Unknown, fleet::controller::chain(&error))
    } else {
        error.into()
    }
}
