//! Nothing is lost between a file, a type and the API server.

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::sample::{self, Fault};
use super::{Kinds, read, text, through, with};

impl Kinds {
    /// Checks what has to hold for each kind, with the files `examples/<file>`, which readers of the crate are shown,
    /// and `tests/api/complete/<file>`, which uses what the example does not:
    ///
    /// - the type `K` and the API server keep both as they are;
    /// - together they use each field that the schema declares, and no other: a misspelling of ours or of a file would
    ///   be kept, unseen, as an unknown field. Types of Kubernetes itself are named in `others`;
    /// - the API server keeps what a newer version of the kind adds, at each level;
    /// - `K` reads objects that lack everything, and such with words that no rule of ours admits.
    pub async fn nothing_is_lost<K>(&self, file: &str, others: &[&str]) -> anyhow::Result<()>
    where
        K: Serialize + DeserializeOwned,
    {
        // In whatever namespace the API server is asked to keep it.
        let anywhere = |object| with(object, &json!({"metadata": {"namespace": null}}));
        let example = anywhere(read(self.crate_folder().join("examples").join(file))?);
        let complete = anywhere(read(self.crate_folder().join("tests/api/complete").join(file))?);
        for (name, object) in [("the example", &example), ("the complete object", &complete)] {
            same(name, "the type", object, &through::<K>(object)?)?;
            same(name, "the API server", object, &self.stored(object).await?)?;
        }
        let uncovered = self.uncovered_by_all(&[&example, &complete], others)?;
        ensure!(uncovered.is_empty(), "tests/api/complete/{file}: {}", uncovered.join("; "));

        let schema = self.schema(&complete)?;
        let mut newer = sample::newer(&schema, &complete, others);
        for standard in ["apiVersion", "kind", "metadata"] {
            newer[standard] = complete[standard].clone();
        }
        if schema["x-kubernetes-preserve-unknown-fields"] != true
            && let Some(root) = newer.as_object_mut()
        {
            root.retain(|name, _| complete.get(name).is_some());
        }
        let newer = with(newer, &json!({"metadata": {"name": "newer"}}));
        same("an object of a newer version", "the API server", &newer, &self.stored(&newer).await?)?;

        for fault in [Fault::Missing, Fault::Invalid] {
            let object = self.spoilt(&complete, fault)?;
            through::<K>(&object).with_context(|| format!("{object:#} breaks the watch of all others"))?;
        }
        Ok(())
    }

    /// An object of the kind and version of `model` with this fault wherever it can have it.
    pub(super) fn spoilt(&self, model: &Value, fault: Fault) -> anyhow::Result<Value> {
        let mut object =
            sample::spoilt(&self.schema(model)?, fault).context("the schema declares no fields")?;
        object["apiVersion"] = text(model, "apiVersion")?.into();
        object["kind"] = text(model, "kind")?.into();
        // No label, as the rules for names ask, but a name that each API server takes.
        object["metadata"] = json!({"name": format!("1.{fault:?}").to_lowercase()});
        Ok(object)
    }
}

fn same(what: &str, keeper: &str, given: &Value, kept: &Value) -> anyhow::Result<()> {
    for part in given.as_object().into_iter().flatten().map(|(part, _)| part) {
        if !["apiVersion", "kind", "metadata"].contains(&part.as_str()) {
            let (given, kept) = (&given[part], &kept[part]);
            ensure!(given == kept, "{keeper} changes the {part} of {what}:\n{given:#}\nbecomes\n{kept:#}");
        }
    }
    Ok(())
}
