//! What is wrong never gets into the cluster, and the answer says which field and which rule.
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use kube::api::{Patch, PatchParams};

use super::application::EXAMPLE;
use crate::{
    demo::{Fact, Show},
    deploy::{Applier, Object},
    paths, ui,
};

/// A file of the example, and what the refusal of it has to name.
const MISTAKES: [(&str, &str, &[&str]); 2] = [
    ("a name that DNS does not allow", "refused-name.yaml", &["spec.componentName"]),
    ("Components that nudge each other", "refused-cycle.yaml", &["cycle detected"]),
];

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let applier = Applier::discover(show.target()?.client.clone(), false).await?;
    let mut facts = Vec::new();
    for (mistake, file, named) in MISTAKES {
        let asked = Instant::now();
        let object = read(file)?;
        // If it were accepted after all, nothing is to come of it.
        let dry_run = PatchParams { dry_run: true, ..PatchParams::apply("demo").force() };
        let answer =
            applier.api(&object)?.patch(object.name(), &dry_run, &Patch::Apply(&object.content)).await;
        let text = match answer {
            Ok(_) => bail!("{EXAMPLE}/{file} was accepted: {mistake}"),
            Err(kube::Error::Api(status)) => status.message.clone(),
            Err(error) => return Err(error).with_context(|| format!("apply {object}")),
        };
        ui::note(&format!("{mistake}:"));
        ui::note(&format!("  {text}"));
        for name in named {
            ensure!(text.contains(name), "the refusal of {EXAMPLE}/{file} does not name {name}: {text}");
        }
        facts.push(Fact { object: mistake.to_owned(), state: "refused".to_owned(), after: asked.elapsed() });
    }
    Ok(facts)
}

fn read(file: &str) -> anyhow::Result<Object> {
    let path = paths::repository()?.join(EXAMPLE).join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Object::parse(serde_saphyr::from_str(&text).with_context(|| format!("read {}", path.display()))?)
}
