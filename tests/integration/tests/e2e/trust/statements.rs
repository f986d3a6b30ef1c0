//! What an attestation with a good signature can say that a policy does not take: as if the signer had attested another build.
use anyhow::Context as _;
use serde_json::{Value, json};

/// The attestation of a build, changed at one place.
pub(super) struct Change {
    pub(super) name: &'static str,
    pub(super) statement: Value,
    /// Code of the violation; none for what was not changed.
    pub(super) violated: Option<&'static str>,
}

/// Name of the statement that was not changed.
pub(super) const UNCHANGED: &str = "stated-as-it-was";

type Edit = fn(&mut Value) -> anyhow::Result<()>;

const EDITS: &[(&str, Option<&str>, Edit)] = &[
    (UNCHANGED, None, |_| Ok(())),
    ("by-another-builder", Some("slsa_build_build_service.slsa_builder_id_accepted"), |statement| {
        set(statement, "/predicate/builder/id", json!("https://builder.example"))
    }),
    ("without-builder", Some("builtin.attestation.syntax_check"), |statement| {
        set(statement, "/predicate/builder", json!({}))
    }),
    ("of-another-kind", Some("slsa_provenance_available.attestation_predicate_type_accepted"), |statement| {
        set(statement, "/predicateType", json!("https://example.test/provenance/v9"))
    }),
    ("without-tasks", Some("tasks.pipeline_has_tasks"), |statement| {
        set(statement, "/predicate/buildConfig/tasks", json!([]))
    }),
    ("with-a-failed-task", Some("tasks.successful_pipeline_tasks"), |statement| {
        task(statement, "clone-repository")?["status"] = json!("Failed");
        Ok(())
    }),
    ("without-a-required-task", Some("tasks.required_tasks_found"), |statement| {
        let tasks = statement.pointer_mut("/predicate/buildConfig/tasks").and_then(Value::as_array_mut);
        tasks.context("a pipeline has tasks")?.retain(|task| task["name"] != "clair-scan");
        Ok(())
    }),
    ("with-a-task-from-elsewhere", Some("trusted_task.trusted"), |statement| {
        let params = task(statement, "build-container")?["ref"]["params"].as_array_mut();
        let mut params = params.context("the task is from a bundle")?.iter_mut();
        let bundle = params.find(|param| param["name"] == "bundle").context("and names it")?;
        bundle["value"] = json!(format!("quay.example/tasks/buildah:0.1@sha256:{}", "a".repeat(64)));
        Ok(())
    }),
    ("built-without-steps", Some("slsa_build_scripted_build.build_script_used"), |statement| {
        task(statement, "build-container")?["steps"] = json!([]);
        Ok(())
    }),
    ("built-something-else", Some("slsa_build_scripted_build.image_built_by_trusted_task"), |statement| {
        let digest = json!(format!("sha256:{}", "b".repeat(64)));
        for name in ["build-container", "build-image-index"] {
            set_result(task(statement, name)?, "IMAGE_DIGEST", &digest)?;
        }
        Ok(())
    }),
    ("of-another-commit", Some("slsa_source_correlated.expected_source_code_reference"), |statement| {
        let materials = statement.pointer_mut("/predicate/materials").and_then(Value::as_array_mut);
        for material in materials.context("there are materials")? {
            if material["digest"]["sha1"].is_string() {
                material["digest"]["sha1"] = json!("c".repeat(40));
            }
        }
        Ok(())
    }),
    ("with-a-failed-test", Some("test.no_failed_tests"), |statement| {
        let output =
            json!({"result": "FAILURE", "timestamp": "0", "successes": 0, "failures": 1, "warnings": 0});
        set_result(task(statement, "sbom-json-check")?, "TEST_OUTPUT", &json!(output.to_string()))
    }),
    ("with-critical-vulnerabilities", Some("cve.cve_blockers"), |statement| {
        let found =
            json!({"vulnerabilities": {"critical": 1, "high": 0, "medium": 0, "low": 0, "unknown": 0}});
        let scan = task(statement, "clair-scan")?;
        let results = scan["results"].as_array_mut().context("a scan has results")?;
        results.retain(|result| result["name"] != "SCAN_OUTPUT" && result["name"] != "CLAIR_SCAN_RESULT");
        results.push(json!({"name": "SCAN_OUTPUT", "type": "string", "value": found.to_string()}));
        Ok(())
    }),
    ("with-somebody-in-a-step", Some(TAMPERED), |statement| {
        let environment = statement.pointer_mut("/predicate/invocation/environment");
        environment.context("a run has an environment")?["tampered"] =
            json!([{"kind": "TaskRun", "name": "build", "reason": "Exec"}]);
        Ok(())
    }),
];

/// The rule on runs that somebody was let into.
pub(super) const TAMPERED: &str = "tampered_runs.nobody_was_let_in";

/// All changes of the attestation of a build.
pub(super) fn all(good: &Value) -> anyhow::Result<Vec<Change>> {
    EDITS
        .iter()
        .map(|(name, violated, edit)| {
            let mut statement = good.clone();
            edit(&mut statement).with_context(|| (*name).to_owned())?;
            Ok(Change { name, statement, violated: *violated })
        })
        .collect()
}

fn set(statement: &mut Value, pointer: &str, value: Value) -> anyhow::Result<()> {
    *statement.pointer_mut(pointer).with_context(|| format!("the statement has no {pointer}"))? = value;
    Ok(())
}

fn task<'s>(statement: &'s mut Value, name: &str) -> anyhow::Result<&'s mut Value> {
    let tasks = statement.pointer_mut("/predicate/buildConfig/tasks").and_then(Value::as_array_mut);
    let found = tasks.context("a pipeline has tasks")?.iter_mut().find(|task| task["name"] == name);
    found.with_context(|| format!("the pipeline has no task {name}"))
}

fn set_result(task: &mut Value, name: &str, value: &Value) -> anyhow::Result<()> {
    let results = task["results"].as_array_mut().context("the task has results")?;
    let result = results.iter_mut().find(|result| result["name"] == name);
    result.with_context(|| format!("the task has no result {name}"))?["value"] = value.clone();
    Ok(())
}
