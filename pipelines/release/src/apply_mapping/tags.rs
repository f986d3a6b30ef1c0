//! The tags of one component: those of `mapping.defaults` and its own, filled in.

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::template::{Facts, Template};

/// How timestamps are written where nobody says: seconds since 1970.
const SECONDS: &str = "%s";
/// More tags than anybody needs for one image.
const MAX_TAGS: usize = 200;

/// What is to be filled in.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of the component itself. `None` if nobody names tags.
    tags: Option<Vec<Template>>,
    /// Of its further repositories, in order.
    repositories: Vec<Option<Vec<Template>>>,
    timestamp_format: String,
    pushes_source: Option<bool>,
}

impl Plan {
    pub(super) fn new(component: &Map<String, Value>, defaults: &Value) -> anyhow::Result<Self> {
        let shared = templates(&defaults["tags"]).context("data.mapping.defaults.tags")?;
        let with_shared = |own: Option<Vec<Template>>| match (shared.clone(), own) {
            (None, None) => None,
            (shared, own) => Some(shared.into_iter().chain(own).flatten().collect()),
        };
        let tags = with_shared(templates(component.get("tags").unwrap_or(&Value::Null)).context("tags")?);
        let repositories = match component.get("repositories") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list
                .iter()
                .map(|entry| Ok(with_shared(templates(&entry["tags"]).context("tags of a repository")?)))
                .collect::<anyhow::Result<_>>()?,
            Some(_) => bail!("repositories: expected a list of objects with a url"),
        };
        let own_or_default = |field: &str| {
            component.get(field).filter(|own| !own.is_null()).unwrap_or(&defaults[field]).clone()
        };
        let timestamp_format = match own_or_default("timestampFormat") {
            Value::Null => SECONDS.to_owned(),
            Value::String(format) => format,
            _ => bail!("timestampFormat: expected a text as strftime(3) has it"),
        };
        let pushes_source = own_or_default("pushSourceContainer").as_bool();
        Ok(Self { tags, repositories, timestamp_format, pushes_source })
    }

    pub(super) fn timestamp_format(&self) -> &str {
        &self.timestamp_format
    }

    pub(super) fn needs_image(&self) -> bool {
        let all = self.repositories.iter().chain([&self.tags]).flatten().flatten();
        all.into_iter().any(Template::needs_image)
    }

    pub(super) fn fill(
        &self,
        mut component: Map<String, Value>,
        facts: &Facts,
    ) -> anyhow::Result<Map<String, Value>> {
        if let Some(tags) = &self.tags {
            component.insert("tags".to_owned(), filled(tags, facts)?);
        }
        if let Some(Value::Array(repositories)) = component.get_mut("repositories") {
            for (repository, tags) in repositories.iter_mut().zip(&self.repositories) {
                let (Value::Object(repository), Some(tags)) = (repository, tags) else { continue };
                repository.insert("tags".to_owned(), filled(tags, facts)?);
            }
        }
        if let Some(pushes) = self.pushes_source {
            component.insert("pushSourceContainer".to_owned(), pushes.into());
        }
        Ok(component)
    }
}

/// In order, each once.
fn filled(templates: &[Template], facts: &Facts) -> anyhow::Result<Value> {
    let mut tags: Vec<String> = Vec::new();
    for template in templates {
        let tag = template.fill(facts)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags.into())
}

fn templates(list: &Value) -> anyhow::Result<Option<Vec<Template>>> {
    match list {
        Value::Null => Ok(None),
        Value::Array(list) if list.len() <= MAX_TAGS => {
            let templates = list.iter().map(|tag| Ok(tag.as_str().context("expected texts")?.parse()?));
            templates.collect::<anyhow::Result<Vec<Template>>>().map(Some)
        }
        Value::Array(list) => bail!("{} entries, more than {MAX_TAGS}", list.len()),
        _ => bail!("expected a list of tags"),
    }
}
