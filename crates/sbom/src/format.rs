//! Which of the formats a file has.

use serde::Deserialize;

use crate::base_image::{BaseImage, Stage};
use crate::cyclonedx::{self, Bom};
use crate::package::Purl;
use crate::spdx::{self, Document};

/// Why a file is no bill of materials that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no {format} document: {reason}")]
pub struct Unreadable {
    format: &'static str,
    reason: String,
}

impl Unreadable {
    pub(crate) fn new(format: &'static str, reason: impl Into<String>) -> Self {
        Self { format, reason: reason.into() }
    }
}

/// A bill of materials that somebody wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    CycloneDx(Box<Bom>),
    Spdx(Box<Document>),
}

/// The fields that tell the formats apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    #[serde(default)]
    spdx_version: Option<String>,
}

impl Format {
    /// Reads whatever of the formats it is. What is neither is answered as the first of them, CycloneDX.
    pub fn detect(bytes: &[u8]) -> Result<Self, Unreadable> {
        match serde_json::from_slice::<Mark>(bytes) {
            Ok(Mark { spdx_version: Some(_) }) => Document::read(bytes).map(Box::new).map(Self::Spdx),
            _ => Bom::read(bytes).map(Box::new).map(Self::CycloneDx),
        }
    }

    /// Of a layer that holds it.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::CycloneDx(_) => cyclonedx::MEDIA_TYPE,
            Self::Spdx(_) => spdx::MEDIA_TYPE,
        }
    }

    /// Packages of the image. Base images, and what is no package URL, are not among them.
    pub fn purls(&self) -> Vec<Purl> {
        let mut purls = Vec::new();
        match self {
            Self::CycloneDx(bom) => {
                let mut waiting: Vec<&cyclonedx::Component> = bom.components.iter().rev().collect();
                while let Some(component) = waiting.pop() {
                    purls.extend(component.purl.as_deref().and_then(|purl| purl.parse().ok()));
                    waiting.extend(component.components.iter().rev());
                }
            }
            Self::Spdx(document) => {
                let packages = document.packages.iter().flat_map(spdx::Package::purls);
                let all = packages.filter_map(|purl| purl.parse::<Purl>().ok());
                purls.extend(all.filter(|purl| purl.ty() != "oci"));
            }
        }
        purls
    }

    /// Images that it was built from. Those of other tools that say it otherwise are not found.
    pub fn base_images(&self) -> Vec<BaseImage> {
        match self {
            Self::CycloneDx(bom) => {
                let components = bom.formulation.iter().flat_map(|formula| &formula.components);
                let containers = components.filter(|component| component.kind == "container");
                let image = |component: &cyclonedx::Component| {
                    let said =
                        component.properties.iter().map(|property| (&*property.name, &*property.value));
                    base_image(component.purl.as_deref()?, said)
                };
                containers.filter_map(image).collect()
            }
            Self::Spdx(document) => {
                let image = |package: &spdx::Package| {
                    let comments = package.annotations.iter().map(|annotation| &annotation.comment);
                    let said: Vec<cyclonedx::Property> =
                        comments.filter_map(|comment| serde_json::from_str(comment).ok()).collect();
                    let said = said.iter().map(|property| (&*property.name, &*property.value));
                    base_image(package.purls().next()?, said)
                };
                document.packages.iter().filter_map(image).collect()
            }
        }
    }
}

/// `None` if the properties do not say that it is one.
fn base_image<'a>(purl: &str, said: impl Iterator<Item = (&'a str, &'a str)>) -> Option<BaseImage> {
    let stages: std::collections::BTreeSet<Stage> =
        said.filter_map(|(name, value)| Stage::of_property(name, value)).collect();
    let purl: Purl = purl.parse().ok()?;
    let repository = purl.qualifiers().get("repository_url")?;
    let image: BaseImage = format!("{repository}@{}", purl.version()?).parse().ok()?;
    (!stages.is_empty()).then_some(BaseImage { stages, ..image })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::{About, Inventory};
    use crate::package::Package;

    const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn about() -> About {
        About {
            image: "quay.io/org/app:v1".to_owned(),
            created: "2024-04-01T10:00:00Z".parse().unwrap(),
            tool_version: "0.1.0".to_owned(),
        }
    }

    fn inventory() -> Inventory {
        let mut inventory = Inventory::default();
        inventory.add(Package::npm("@babel/core", "7.24.0").unwrap().found_in("package-lock.json"));
        inventory.add(
            Package::maven("org.x", "y", Some("1")).unwrap().licensed(Some("Apache License, Version 2.0")),
        );
        inventory.add(
            Package::deb("debian", Some("12"), "libssl3", "3.0.11", "amd64", Some(("openssl", None)))
                .unwrap(),
        );
        let golang: BaseImage = format!("docker.io/library/golang:1.22@sha256:{HEX}").parse().unwrap();
        let debian: BaseImage = format!("docker.io/library/debian:12@sha256:{HEX}").parse().unwrap();
        inventory.build_on(vec![
            (golang.clone(), Stage::Builder(0)),
            (golang, Stage::Builder(1)),
            (debian, Stage::Base),
        ]);
        inventory
    }

    fn both(inventory: &Inventory) -> [Vec<u8>; 2] {
        [
            serde_json::to_vec(&Bom::new(inventory, &about())).unwrap(),
            serde_json::to_vec(&Document::new(inventory, &about())).unwrap(),
        ]
    }

    #[test]
    fn both_formats_say_the_same_of_packages_and_base_images() {
        let inventory = inventory();
        let [cyclonedx, spdx] = both(&inventory).map(|bytes| Format::detect(&bytes).unwrap());
        assert!(matches!((&cyclonedx, &spdx), (Format::CycloneDx(_), Format::Spdx(_))));
        let expected: Vec<Purl> = inventory.packages().map(|package| package.purl.clone()).collect();
        assert_eq!(cyclonedx.purls(), expected);
        assert_eq!(spdx.purls(), expected);
        assert_eq!(cyclonedx.base_images(), inventory.base_images());
        assert_eq!(spdx.base_images(), inventory.base_images());
        // One component with two properties.
        assert_eq!(inventory.base_images().len(), 2);
        assert_eq!(inventory.base_images()[0].stages.len(), 2);
    }

    #[test]
    fn components_read_as_policies_expect() {
        let bom = serde_json::to_value(Bom::new(&inventory(), &about())).unwrap();
        assert_eq!(
            bom["formulation"][0]["components"][1],
            serde_json::json!({
                "type": "container",
                "name": "docker.io/library/debian",
                "purl": format!("pkg:oci/debian@sha256:{HEX}?repository_url=docker.io%2Flibrary%2Fdebian"),
                "properties": [{"name": "konflux:container:is_base_image", "value": "true"}],
            })
        );
        let names: Vec<&str> =
            bom["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["@babel/core", "libssl3", "y"]);
        assert_eq!(bom["components"][2]["group"], "org.x");
        assert_eq!(bom["components"][0]["evidence"]["occurrences"][0]["location"], "package-lock.json");
        assert_eq!(bom["serialNumber"].as_str().unwrap().len(), "urn:uuid:".len() + 36);
        let spdx = serde_json::to_value(Document::new(&inventory(), &about())).unwrap();
        assert_eq!(spdx["creationInfo"]["created"], "2024-04-01T10:00:00Z");
    }

    #[test]
    fn what_is_written_passes_our_own_check_and_stays_the_same() {
        let inventory = inventory();
        assert_eq!(both(&inventory), both(&inventory));
        assert_eq!(crate::check(&both(&inventory)[0]), Vec::new());
    }

    #[test]
    fn fields_that_we_do_not_know_are_kept() {
        let given = serde_json::json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "declarations": {"a": 1},
            "components": [{"type": "library", "name": "a", "cpe": "cpe:2.3:a", "licenses": [{"license": {"id": "MIT", "url": "x"}}]}],
        });
        let bom = Bom::read(given.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(bom).unwrap(), given);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let refusal = |text: &str| Format::detect(text.as_bytes()).unwrap_err().to_string();
        assert!(refusal("{").starts_with("it is no CycloneDX document: EOF"));
        assert!(refusal(r#"{"bomFormat": "x", "specVersion": "1"}"#).contains("bomFormat"));
        assert!(refusal(r#"{"spdxVersion": "SPDX-3.0"}"#).contains("not SPDX-2"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{\":,\\[\\]a-zA-Z0-9}]{0,200}") {
            let _ = Format::detect(&bytes);
            let _ = Format::detect(text.as_bytes());
            let _ = crate::check(text.as_bytes());
        }

        /// Whatever may be listed can be read again.
        #[test]
        fn what_is_listed_can_be_read(namespace in "\\PC{1,12}", name in "\\PC{1,12}", version in "\\PC{1,12}") {
            let made = [
                Package::cargo(&name, &version),
                Package::npm(&format!("@{namespace}/{name}"), &version),
                Package::pypi(&name, &version),
                Package::golang(&format!("{namespace}/{name}"), &version),
                Package::maven(&namespace, &name, Some(&version)),
                Package::deb("debian", Some(&namespace), &name, &version, "amd64", Some((&namespace, Some(&version)))),
            ];
            for package in made.into_iter().flatten() {
                let written = package.purl.to_string();
                let read = written.parse::<Purl>();
                prop_assert!(read.is_ok(), "{written}: {read:?}");
                let read = read.unwrap();
                prop_assert_eq!(read.version(), package.purl.version(), "{}", written);
            }
        }
    }
}
