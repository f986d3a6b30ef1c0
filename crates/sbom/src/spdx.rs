//! SPDX 2.3 in JSON: <https://spdx.github.io/spdx-spec/v2.3/>.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::base_image::BaseImage;
use crate::format::Unreadable;
use crate::inventory::{About, Inventory};
use crate::package;

/// Media type of the file, in the list that cosign knows.
pub const MEDIA_TYPE: &str = "text/spdx+json";

const FORMAT: &str = "SPDX";
/// What nobody has said.
const NO_ASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub spdx_version: String,
    #[serde(default)]
    pub data_license: String,
    #[serde(rename = "SPDXID", default)]
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub document_namespace: String,
    #[serde(default)]
    pub creation_info: Value,
    #[serde(default)]
    pub packages: Vec<Package>,
    #[serde(default)]
    pub relationships: Vec<Relationship>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    #[serde(rename = "SPDXID", default)]
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_info: Option<String>,
    #[serde(default)]
    pub download_location: String,
    #[serde(default)]
    pub files_analyzed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_refs: Vec<ExternalReference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checksum {
    /// As `SHA256`.
    pub algorithm: String,
    pub checksum_value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalReference {
    pub reference_category: String,
    pub reference_type: String,
    pub reference_locator: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotation {
    pub annotation_date: String,
    pub annotation_type: String,
    pub annotator: String,
    pub comment: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relationship {
    pub spdx_element_id: String,
    pub relationship_type: String,
    pub related_spdx_element: String,
}

impl Package {
    /// Package URLs that it is known by.
    pub fn purls(&self) -> impl Iterator<Item = &str> {
        let purls = self.external_refs.iter().filter(|reference| reference.reference_type == "purl");
        purls.map(|reference| &*reference.reference_locator)
    }

    fn new(id: String, name: String, purl: Option<String>) -> Self {
        let reference = |purl| ExternalReference {
            reference_category: "PACKAGE-MANAGER".to_owned(),
            reference_type: "purl".to_owned(),
            reference_locator: purl,
        };
        Self {
            id,
            name,
            download_location: NO_ASSERTION.to_owned(),
            external_refs: purl.map(reference).into_iter().collect(),
            ..Self::default()
        }
    }
}

impl Document {
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let document: Self =
            serde_json::from_slice(bytes).map_err(|error| Unreadable::new(FORMAT, error.to_string()))?;
        if !document.spdx_version.starts_with("SPDX-2.") {
            return Err(Unreadable::new(FORMAT, "spdxVersion is not SPDX-2"));
        }
        Ok(document)
    }

    /// One package for the image, which contains all others and was built with its base images.
    pub fn new(inventory: &Inventory, about: &About) -> Self {
        let created = about.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let tool = format!("Tool: konflux-rs-toolbox-{}", about.tool_version);
        let name = if about.image.is_empty() { "source" } else { &about.image };
        let mut packages = vec![Package::new(IMAGE.to_owned(), name.to_owned(), None)];
        let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
        for package in inventory.packages() {
            let package = listed(package);
            relationships.push(relationship(IMAGE, "CONTAINS", &package.id));
            packages.push(package);
        }
        for image in inventory.base_images() {
            let image = base(image, &created, &tool);
            relationships.push(relationship(&image.id, "BUILD_TOOL_OF", IMAGE));
            packages.push(image);
        }
        let identity = Sha256::digest(format!("{name}\0{}\0{packages:?}", about.created));
        Self {
            spdx_version: "SPDX-2.3".to_owned(),
            data_license: "CC0-1.0".to_owned(),
            id: DOCUMENT.to_owned(),
            name: name.to_owned(),
            document_namespace: format!("https://konflux-ci.dev/spdxdocs/{}", hex(&identity[..16])),
            creation_info: json!({ "created": created, "creators": [tool] }),
            packages,
            relationships,
            other: Map::new(),
        }
    }
}

fn listed(found: &package::Package) -> Package {
    let purl = found.purl.to_string();
    let mut package = Package::new(id("package", &purl), found.full_name(), Some(purl));
    package.version_info = found.purl.version().map(str::to_owned);
    package.supplier = found.publisher.as_ref().map(|publisher| format!("Organization: {publisher}"));
    let checksum =
        |value: &String| Checksum { algorithm: "SHA256".to_owned(), checksum_value: value.clone() };
    package.checksums = found.sha256.iter().map(checksum).collect();
    // What packages say of their licence is often no expression of the SPDX list, and that is all that would be valid there.
    package.other.insert("licenseConcluded".to_owned(), NO_ASSERTION.into());
    package.other.insert("licenseDeclared".to_owned(), NO_ASSERTION.into());
    package.other.insert("copyrightText".to_owned(), NO_ASSERTION.into());
    if !found.licenses.is_empty() {
        let said: Vec<&str> = found.licenses.iter().map(String::as_str).collect();
        package
            .other
            .insert("licenseComments".to_owned(), format!("declared as: {}", said.join("; ")).into());
    }
    if !found.found_in.is_empty() {
        let paths: Vec<&str> = found.found_in.iter().map(String::as_str).collect();
        package.other.insert("sourceInfo".to_owned(), format!("found in: {}", paths.join(", ")).into());
    }
    package
}

fn base(image: &BaseImage, created: &str, tool: &str) -> Package {
    let purl = image.purl();
    let mut package = Package::new(id("base-image", &purl), image.repository.clone(), Some(purl));
    package.version_info = Some(image.digest.clone());
    package.annotations = image
        .stages
        .iter()
        .map(|stage| {
            let (name, value) = stage.property();
            Annotation {
                annotation_date: created.to_owned(),
                annotation_type: "OTHER".to_owned(),
                annotator: tool.to_owned(),
                comment: json!({ "name": name, "value": value }).to_string(),
            }
        })
        .collect();
    package
}

fn relationship(from: &str, kind: &str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind.to_owned(),
        related_spdx_element: to.to_owned(),
    }
}

/// Identifiers may have letters, digits, `.` and `-` only: a hash of what they are for, so that they stay the same.
fn id(kind: &str, purl: &str) -> String {
    format!("SPDXRef-{kind}-{}", hex(&Sha256::digest(purl)[..12]))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
