//! The last thing that the demo prints.
use std::{fmt::Write as _, path::PathBuf, time::Duration};

use super::{
    Fact,
    steps::{release::MANAGED, tenant::NAMESPACE},
};

/// Where to go on.
pub struct Places {
    pub kubeconfig: PathBuf,
    /// What to type for kubectl.
    pub kubectl: String,
    /// What images are called by: `host[:port][/path]`.
    pub registry: String,
    /// Flags by which `cargo xtask` finds the cluster again; empty, or with a blank before each.
    pub flags: String,
}

/// A table of the facts, where things are, and what to try next.
pub fn summary(facts: &[Fact], took: Duration, places: &Places) -> String {
    let width = |cell: fn(&Fact) -> usize| facts.iter().map(cell).max().unwrap_or_default();
    let object = width(|fact| fact.object.chars().count());
    let state = width(|fact| fact.state.chars().count());
    let mut text = String::from("\n");
    for fact in facts {
        let after = fact.after.as_secs_f64();
        let _ = writeln!(text, "  {:object$}  {:state$}  {after:>6.1} s", fact.object, fact.state);
    }
    let Places { kubeconfig, kubectl, registry, flags } = places;
    let _ = write!(
        text,
        "\nDone in {} min {:02} s; all of it runs on.\n\n  kubeconfig  {}\n  registry    {registry}\n\nTry next:\n\n  \
         {kubectl} get applications,components -n {NAMESPACE}\n  \
         {kubectl} get component server -n {NAMESPACE} -o jsonpath='{{.status.devfile}}'\n  \
         {kubectl} get pipelinerun,taskrun,pod -n {NAMESPACE}\n  \
         {kubectl} get integrationtestscenarios,snapshots,releases -n {NAMESPACE}\n  \
         {kubectl} get releaseplanadmissions,pipelineruns -n {MANAGED}\n  \
         {kubectl} logs -n {NAMESPACE} first-pipeline-report-pod\n  \
         {kubectl} logs -n application-service deployment/application-service\n  \
         cargo xtask status{flags}\n  \
         cargo xtask down{flags}",
        took.as_secs() / 60,
        took.as_secs() % 60,
        kubeconfig.display(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let fact = |object: &str, state: &str| Fact {
            object: object.to_owned(),
            state: state.to_owned(),
            after: Duration::from_millis(1_500),
        };
        let facts = [fact("a", "Ready"), fact("longer", "…")];
        let places = Places {
            kubeconfig: "/k".into(),
            kubectl: "/s/bin/kubectl".into(),
            registry: "r.test".into(),
            flags: " --name x".into(),
        };
        let text = summary(&facts, Duration::from_secs(61), &places);
        assert!(text.starts_with("\n  a       Ready     1.5 s\n  longer  …         1.5 s\n"), "{text}");
        assert!(text.contains("1 min 01 s") && text.contains("kubeconfig  /k"), "{text}");
        assert!(
            text.contains("\n  /s/bin/kubectl get") && text.ends_with("cargo xtask down --name x"),
            "{text}"
        );
    }
}
