//! One image, judged (specification, section 4.2).
//!
//! ```text
//! readable? ─▶ signed? ─┐
//!              attested? ┴▶ well formed? ─▶ input ─▶ rules of each source ─▶ ComponentReport
//! ```

use std::sync::Arc;

use jiff::Timestamp;
use registry::Reference;
use serde_json::{Map, Value, json};

use super::Judge;
use super::builtin::{Check, unsigned};
use super::group::overlay;
use super::host::Registries;
use super::verdict::{self, NothingChecked, Verdict, remark};
use super::verification::Attested;
use crate::image::{self, Facts, NamedBy};
use crate::rego::Host;
use crate::report::{AttestationReport, ComponentReport};
use crate::snapshot::Component;

/// Where provenance says when the build ended: SLSA v0.2 and v1.
const FINISHED: [&str; 2] =
    ["/predicate/metadata/buildFinishedOn", "/predicate/runDetails/metadata/finishedOn"];
/// Where it says what was built how.
const BUILD_TYPE: [&str; 2] = ["/predicate/buildType", "/predicate/buildDefinition/buildType"];

/// An image, judged, and what came in between.
pub(super) struct Judged {
    pub(super) report: ComponentReport,
    /// Why rules could not be asked.
    pub(super) trouble: Option<Trouble>,
}

/// What keeps rules from being asked, although the image is fine so far.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    NothingChecked(#[from] NothingChecked),
    #[error("the rules cannot be evaluated: {0}")]
    Rules(String),
}

/// What is found of an image, piece by piece.
#[derive(Default)]
struct Found {
    verdict: Verdict,
    image: Option<Reference>,
    signatures: Vec<Value>,
    attestations: Vec<Attested>,
    effective_time: Option<Timestamp>,
    input: Value,
}

pub(super) async fn judge(judge: &Judge, component: &Component) -> Judged {
    let mut found = Found::default();
    let trouble = judge.look(component, &mut found).await.err();
    if let Some(trouble) = &trouble {
        found.verdict.violations.push(remark(format!("{}: {trouble}", component.container_image)));
    }
    judge.progress.end(&component.container_image);
    Judged { report: found.report(judge, component), trouble }
}

impl Found {
    fn report(self, judge: &Judge, component: &Component) -> ComponentReport {
        let verdict = self.verdict.finished(judge.info);
        ComponentReport {
            name: component.name.clone(),
            container_image: self
                .image
                .map_or_else(|| component.container_image.clone(), |image| image.to_string()),
            source: json!(component.source),
            success: verdict.violations.is_empty(),
            violations: verdict.violations,
            warnings: verdict.warnings,
            successes: verdict.successes,
            signatures: self.signatures,
            attestations: self.attestations.into_iter().map(attestation).collect(),
            effective_time: self.effective_time.map(|time| time.to_string()),
            policy_input: self.input,
        }
    }
}

impl Judge {
    async fn look(&self, component: &Component, found: &mut Found) -> Result<(), Trouble> {
        let image = &component.container_image;
        self.progress.begin(image, "reading the image");
        let manifest = match image.parse::<Reference>() {
            Ok(reference) => {
                self.library.manifest(&reference, NamedBy::User).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(reason) => {
                Check::Accessible.fail(&mut found.verdict, format!("The image cannot be read: {reason}"));
                return Ok(());
            }
        };
        let reference = &manifest.reference;
        found.image = Some(reference.clone());

        self.progress.begin(image, "verifying signatures and attestations");
        let is_by_key = !self.verification.signers().pem.is_empty();
        let (signatures, attestations) = futures::join!(
            self.verification.signatures(reference),
            self.verification.attestations(reference)
        );
        match signatures {
            Ok(signatures) => {
                Check::Signature.pass(&mut found.verdict);
                found.signatures = signatures;
            }
            Err(reason) => {
                let msg = unsigned("signature of the image", is_by_key, &reason);
                Check::Signature.fail(&mut found.verdict, msg);
            }
        }
        match attestations {
            Ok(attestations) => {
                Check::AttestationSignature.pass(&mut found.verdict);
                found.attestations = attestations;
            }
            Err(reason) => {
                let msg = unsigned("attestation of the image", is_by_key, &reason);
                Check::AttestationSignature.fail(&mut found.verdict, msg);
                return Ok(());
            }
        }
        if found.attestations.is_empty() {
            found.verdict.violations.push(remark(format!("{reference}: nothing is attested of this image")));
            return Ok(());
        }
        check_syntax(&found.attestations, &mut found.verdict);

        self.progress.begin(image, "reading its configuration and files");
        let facts = image::facts(&self.library, &manifest).await.unwrap_or_else(|reason| {
            Check::Accessible
                .fail(&mut found.verdict, format!("The image cannot be read as a whole: {reason}"));
            Facts::default()
        });
        let time = self.effective_time.of_image(self.run_time, built(&found.attestations));
        found.effective_time = (time != self.run_time).then_some(time);
        let input = input(component, reference, found, facts, &self.snapshot);
        self.progress.begin(image, "asking the rules");
        let outcome = self.ask(Arc::new(input), time, reference, &mut found.verdict, &mut found.input).await;
        self.progress.begin(image, "finishing");
        outcome
    }

    /// Asks the rules of each source.
    async fn ask(
        &self,
        input: Arc<Value>,
        time: Timestamp,
        image: &Reference,
        verdict: &mut Verdict,
        kept: &mut Value,
    ) -> Result<(), Trouble> {
        let host = Arc::new(Registries::new(self.library.clone(), Arc::clone(&self.verification)));
        for group in &self.groups {
            let criteria = group.selection.at(time, Some(image));
            let overlay = overlay(time, &self.verification.signers().expected);
            let rules = Arc::clone(&host) as Arc<dyn Host>;
            let outcomes = self.asking.evaluate(&group.policy, Arc::clone(&input), overlay, rules).await;
            let outcomes = outcomes.map_err(Trouble::Rules)?;
            verdict.extend(verdict::judge(group.policy.rules(), outcomes, &criteria, time)?);
        }
        let complaints = host.complaints();
        verdict.warnings.extend(complaints.into_iter().map(|complaint| {
            remark(format!("Rules asked for something of a registry that cannot be reached: {complaint}"))
        }));
        if self.keep_inputs {
            *kept = Arc::unwrap_or_clone(input);
        }
        Ok(())
    }
}

fn check_syntax(attestations: &[Attested], verdict: &mut Verdict) {
    let mut is_fine = true;
    for attestation in attestations {
        let faults = image::faults(&attestation.statement);
        if !faults.is_empty() {
            let msg = format!("An attestation is not what its type says: {}", faults.join("; "));
            Check::AttestationSyntax.fail(verdict, msg);
            is_fine = false;
        }
    }
    if is_fine {
        Check::AttestationSyntax.pass(verdict);
    }
}

/// When the last of the builds ended.
fn built(attestations: &[Attested]) -> Option<Timestamp> {
    let times = attestations.iter().flat_map(|attestation| {
        FINISHED.iter().filter_map(|at| attestation.statement.pointer(at)?.as_str()?.parse().ok())
    });
    times.max()
}

/// What rules see (specification, section 4.4).
fn input(component: &Component, image: &Reference, found: &Found, facts: Facts, snapshot: &Value) -> Value {
    let mut shown = Map::new();
    shown.insert("ref".to_owned(), json!(image.to_string()));
    shown.insert("signatures".to_owned(), json!(found.signatures));
    if let Some(config) = facts.config {
        shown.insert("config".to_owned(), config.into());
    }
    if let Some(parent) = facts.parent {
        shown.insert(
            "parent".to_owned(),
            json!({"ref": parent.reference.to_string(), "config": parent.config}),
        );
    }
    shown.insert("files".to_owned(), json!(facts.files));
    if !component.source.is_empty() {
        shown.insert("source".to_owned(), json!(component.source));
    }
    let attestations: Vec<Value> = found.attestations.iter().map(Attested::value).collect();
    json!({"attestations": attestations, "image": shown, "snapshot": snapshot})
}

fn attestation(attested: Attested) -> AttestationReport {
    let statement = attested.statement;
    let text = |at: &str| statement.pointer(at).and_then(Value::as_str).map(str::to_owned);
    AttestationReport {
        statement_type: text("/_type").unwrap_or_default(),
        predicate_type: text("/predicateType").unwrap_or_default(),
        predicate_build_type: BUILD_TYPE.iter().find_map(|at| text(at)),
        signatures: attested.signatures,
        statement,
    }
}
