//! CycloneDX in JSON: <https://cyclonedx.org/docs/1.5/json/>. Written as 1.5; 1.2 to 1.6 are read.
//!
//! Fields that are not named here are kept as they are.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base_image::BaseImage;
use crate::format::Unreadable;
use crate::inventory::{About, Inventory};
use crate::package::Package;

/// Media type of the file, in the list that cosign knows.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

const FORMAT: &str = "CycloneDX";
const VERSION: &str = "1.5";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    pub bom_format: String,
    pub spec_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    #[serde(default = "first")]
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    #[serde(default)]
    pub components: Vec<Component>,
    /// How it was made: base images are the components of the only one that we write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formulation: Vec<Formula>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn first() -> u32 {
    1
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Formula {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(rename = "bom-ref", default, skip_serializing_if = "Option::is_none")]
    pub bom_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<License>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// As `SHA-256`.
    pub alg: String,
    pub content: String,
}

/// Either a licence or an expression of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum License {
    License { license: LicenseName },
    Expression { expression: String },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LicenseName {
    /// Of the SPDX list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl License {
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Expression { expression } => Some(expression.clone()),
            Self::License { license } => license.id.clone().or_else(|| license.name.clone()),
        }
    }

    /// Whatever a package says of itself: it need not be an identifier of the SPDX list.
    fn named(text: &str) -> Self {
        Self::License { license: LicenseName { name: Some(text.to_owned()), ..LicenseName::default() } }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

impl Property {
    fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// How it is known that a component is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub occurrences: Vec<Occurrence>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    pub location: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Bom {
    /// Reads a file of any version whose components are what they are in 1.5.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bom: Self =
            serde_json::from_slice(bytes).map_err(|error| Unreadable::new(FORMAT, error.to_string()))?;
        if bom.bom_format != FORMAT {
            return Err(Unreadable::new(FORMAT, "bomFormat is not CycloneDX"));
        }
        Ok(bom)
    }

    /// The same packages always give the same file, but for `about`.
    pub fn new(inventory: &Inventory, about: &About) -> Self {
        let components: Vec<Component> = inventory.packages().map(Component::from).collect();
        let base_images: Vec<Component> = inventory.base_images().iter().map(Component::from).collect();
        let formula = |components| Formula { components, ..Formula::default() };
        Self {
            schema: Some("http://cyclonedx.org/schema/bom-1.5.schema.json".to_owned()),
            bom_format: FORMAT.to_owned(),
            spec_version: VERSION.to_owned(),
            serial_number: Some(format!("urn:uuid:{}", serial_number(&components, about))),
            version: first(),
            metadata: Some(metadata(about)),
            components,
            formulation: (!base_images.is_empty()).then(|| formula(base_images)).into_iter().collect(),
            other: Map::new(),
        }
    }
}

fn metadata(about: &About) -> Value {
    let mut metadata = serde_json::json!({
        "timestamp": about.created.to_string(),
        "tools": { "components": [{
            "type": "application",
            "author": "konflux-rs",
            "name": "toolbox",
            "version": about.tool_version,
        }]},
    });
    if !about.image.is_empty() {
        let subject =
            Component { kind: "container".to_owned(), name: about.image.clone(), ..Component::default() };
        metadata["component"] = serde_json::json!(subject);
    }
    metadata
}

/// A UUID of version 8: what is in the list, and what it is about.
fn serial_number(components: &[Component], about: &About) -> String {
    let mut hash = Sha256::new();
    hash.update(about.image.as_bytes());
    hash.update(about.created.to_string().as_bytes());
    for component in components {
        hash.update(b"\0");
        hash.update(component.purl.as_deref().unwrap_or_default().as_bytes());
    }
    let mut uuid: [u8; 16] = [0; 16];
    uuid.copy_from_slice(&hash.finalize()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl From<&Package> for Component {
    fn from(package: &Package) -> Self {
        let purl = package.purl.to_string();
        let (group, name) = match (package.purl.ty(), package.purl.namespace()) {
            ("maven", Some(group)) => (Some(group.to_owned()), package.purl.name().to_owned()),
            _ => (None, package.full_name()),
        };
        let occurrence = |path: &String| Occurrence { location: path.clone(), other: Map::new() };
        let occurrences: Vec<Occurrence> = package.found_in.iter().map(occurrence).collect();
        Self {
            kind: "library".to_owned(),
            bom_ref: Some(purl.clone()),
            publisher: package.publisher.clone(),
            group,
            name,
            version: package.purl.version().map(str::to_owned),
            hashes: package
                .sha256
                .iter()
                .map(|hash| Hash { alg: "SHA-256".to_owned(), content: hash.clone() })
                .collect(),
            licenses: package.licenses.iter().map(|text| License::named(text)).collect(),
            purl: Some(purl),
            properties: package.properties.iter().map(|(name, value)| Property::new(name, value)).collect(),
            evidence: (!occurrences.is_empty()).then(|| Evidence { occurrences, other: Map::new() }),
            ..Self::default()
        }
    }
}

impl From<&BaseImage> for Component {
    fn from(image: &BaseImage) -> Self {
        let properties = image.stages.iter().map(|stage| {
            let (name, value) = stage.property();
            Property::new(name, value)
        });
        Self {
            kind: "container".to_owned(),
            name: image.repository.clone(),
            purl: Some(image.purl()),
            properties: properties.collect(),
            ..Self::default()
        }
    }
}
