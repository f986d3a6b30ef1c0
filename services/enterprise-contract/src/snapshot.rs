//! Which images are judged: from flags, files and Snapshots, each image once (specification, section 4.1).
//!
//! ```text
//! --image, --images, --file-path, --json-input, --snapshot ─▶ Snapshot::merge ─▶ expand: indexes ─▶ components
//! ```

mod expand;

use std::path::Path;

use serde_json::{Map, Value, json};

pub use expand::expand;

use crate::policy::{Cluster, ClusterError};
use crate::yaml;

/// Name of a component whose image was given without.
const UNNAMED: &str = "Unnamed";

/// What the command line says about images, in the order in which it is merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Path of a file (`--file-path`).
    pub file: Option<String>,
    /// Text (`--json-input`).
    pub text: Option<String>,
    /// Path of a file, or else text (`--images`).
    pub images: Option<String>,
    /// `[namespace/]name`, or text (`--snapshot`).
    pub snapshot: Option<String>,
    /// One image (`--image`).
    pub image: Option<String>,
}

/// Why it is not known which images are meant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is nothing to judge: name an image (--image), or a Snapshot (--images, --snapshot)")]
    Nothing,
    #[error("{what}: it names no image, so there is nothing to judge")]
    Empty { what: String },
    #[error("{what}: cannot be read: {reason}")]
    Unreadable { what: String, reason: String },
    #[error("{what}: {field} {reason}")]
    Field { what: String, field: String, reason: &'static str },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Images that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub application: String,
    pub display_name: String,
    pub display_description: String,
    pub components: Vec<Component>,
}

/// One image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Component {
    pub name: String,
    pub container_image: String,
    /// What it was built from: an object, empty if that is not known.
    pub source: Map<String, Value>,
}

impl Snapshot {
    /// All that was asked for. Also says the Snapshot's name, if one of the cluster was asked for.
    pub async fn read(asked: &Asked, cluster: &Cluster) -> Result<(Self, Option<String>), Error> {
        let mut merged = Self::default();
        let mut named = None;
        let mut is_asked = false;
        if let Some(path) = &asked.file {
            merged.merge(from_file(path).await?);
            is_asked = true;
        }
        if let Some(text) = &asked.text {
            merged.merge(Self::parse("--json-input", text)?);
            is_asked = true;
        }
        if let Some(images) = &asked.images {
            let is_file = tokio::fs::metadata(images).await.is_ok_and(|found| found.is_file());
            merged.merge(if is_file { from_file(images).await? } else { Self::parse("--images", images)? });
            is_asked = true;
        }
        if let Some(snapshot) = &asked.snapshot {
            // Names of objects have no colon, JSON and YAML with a field have.
            merged.merge(if snapshot.contains(':') {
                Self::parse("--snapshot", snapshot)?
            } else {
                named = Some(snapshot.clone());
                let spec = cluster.snapshot(snapshot).await?;
                Self::from_value(&format!("Snapshot {snapshot}"), &spec)?
            });
            is_asked = true;
        }
        if let Some(image) = &asked.image {
            let component = Component {
                name: UNNAMED.to_owned(),
                container_image: image.clone(),
                ..Component::default()
            };
            merged.merge(Self { components: vec![component], ..Self::default() });
            is_asked = true;
        }
        if !is_asked {
            return Err(Error::Nothing);
        }
        if merged.components.is_empty() {
            return Err(Error::Empty { what: "the Snapshot".to_owned() });
        }
        Ok((merged, named))
    }

    /// A Snapshot's spec, or the whole object, in JSON or YAML. `what` is for messages.
    pub fn parse(what: &str, text: &str) -> Result<Self, Error> {
        let document = yaml::parse(text.as_bytes())
            .map_err(|reason| Error::Unreadable { what: what.to_owned(), reason })?;
        let spec = match document.get("apiVersion") {
            Some(_) => document.get("spec").unwrap_or(&Value::Null),
            None => &document,
        };
        Self::from_value(what, spec)
    }

    fn from_value(what: &str, spec: &Value) -> Result<Self, Error> {
        let wrong = |field: String, reason| Error::Field { what: what.to_owned(), field, reason };
        let spec = spec.as_object().ok_or_else(|| {
            let reason = "is no object; expected is {\"components\": [{\"name\", \"containerImage\"}]}";
            wrong("the Snapshot".to_owned(), reason)
        })?;
        let text = |object: &Map<String, Value>, path: &str, key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(wrong(format!("{path}{key}"), "is no text")),
        };
        let components = match spec.get("components") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(components)) => components,
            Some(_) => return Err(wrong("components".to_owned(), "is no list")),
        };
        let component = |(index, value): (usize, &Value)| {
            let path = format!("components[{index}].");
            let object =
                value.as_object().ok_or_else(|| wrong(format!("components[{index}]"), "is no object"))?;
            let container_image = text(object, &path, "containerImage")?;
            if container_image.is_empty() {
                return Err(wrong(format!("{path}containerImage"), "is missing"));
            }
            let source = match object.get("source") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(source)) => source.clone(),
                Some(_) => return Err(wrong(format!("{path}source"), "is no object")),
            };
            Ok(Component { name: text(object, &path, "name")?, container_image, source })
        };
        Ok(Self {
            application: text(spec, "", "application")?,
            display_name: text(spec, "", "displayName")?,
            display_description: text(spec, "", "displayDescription")?,
            components: components.iter().enumerate().map(component).collect::<Result<_, _>>()?,
        })
    }

    /// Adds what another one has beyond this: images, and names of those that have none here.
    fn merge(&mut self, other: Self) {
        for (own, others) in [
            (&mut self.application, other.application),
            (&mut self.display_name, other.display_name),
            (&mut self.display_description, other.display_description),
        ] {
            if own.is_empty() {
                *own = others;
            }
        }
        for component in other.components {
            let known =
                self.components.iter_mut().find(|known| known.container_image == component.container_image);
            match known {
                None => self.components.push(component),
                Some(known) if known.name.is_empty() || known.name == UNNAMED => {
                    if !component.name.is_empty() {
                        known.name = component.name;
                    }
                    if known.source.is_empty() {
                        known.source = component.source;
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// As rules see it.
    pub fn value(&self) -> Value {
        let components: Vec<Value> = self.components.iter().map(Component::value).collect();
        let mut value = json!({"application": self.application, "components": components});
        for (key, text) in
            [("displayName", &self.display_name), ("displayDescription", &self.display_description)]
        {
            if !text.is_empty() {
                value[key] = json!(text);
            }
        }
        value
    }
}

impl Component {
    fn value(&self) -> Value {
        json!({"name": self.name, "containerImage": self.container_image, "source": self.source})
    }
}

async fn from_file(path: &str) -> Result<Snapshot, Error> {
    let unreadable = |reason: String| Error::Unreadable { what: path.to_owned(), reason };
    let text =
        tokio::fs::read_to_string(Path::new(path)).await.map_err(|error| unreadable(error.to_string()))?;
    Snapshot::parse(path, &text)
}

#[cfg(test)]
mod tests;
