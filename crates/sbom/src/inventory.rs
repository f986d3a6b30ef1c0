//! All packages of one image, each once.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base_image::{BaseImage, Stage};
use crate::cyclonedx;
use crate::package::{Package, Purl, full_name};

/// What a bill of materials says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The image that it describes, with its tag. Empty for something else, as a source tree.
    pub image: String,
    pub created: Timestamp,
    /// Version of the program that writes it.
    pub tool_version: String,
}

/// Packages by ecosystem, name and version: finds of the same one in a lockfile, an image and another tool's list are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    packages: BTreeMap<Key, Package>,
    /// Images that it was built from, in order of the stages.
    base_images: Vec<BaseImage>,
}

/// Order of a list for people: by name first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    version: String,
    kind: String,
}

impl Key {
    fn of(purl: &Purl) -> Self {
        Self {
            name: full_name(purl),
            version: purl.version().unwrap_or_default().to_owned(),
            kind: purl.ty().to_owned(),
        }
    }
}

impl Inventory {
    pub fn add(&mut self, package: Package) {
        let key = Key::of(&package.purl);
        match self.packages.get_mut(&key) {
            Some(known) => known.absorb(package),
            None => drop(self.packages.insert(key, package)),
        }
    }

    /// Adds the components of another tool's list. Those that name no package are left out.
    pub fn merge(&mut self, bom: cyclonedx::Bom) {
        for component in bom.components {
            self.merge_component(component);
        }
    }

    fn merge_component(&mut self, component: cyclonedx::Component) {
        let purl = component.purl.as_deref().and_then(|purl| purl.parse::<Purl>().ok());
        if let Some(purl) = purl {
            let mut package = Package::of(purl);
            package.publisher = component.publisher;
            package.licenses.extend(component.licenses.iter().filter_map(cyclonedx::License::text));
            package.sha256 =
                component.hashes.into_iter().find(|hash| hash.alg == "SHA-256").map(|hash| hash.content);
            package
                .properties
                .extend(component.properties.into_iter().map(|property| (property.name, property.value)));
            self.add(package);
        }
        for inner in component.components {
            self.merge_component(inner);
        }
    }

    /// Sets the images that it was built from. One that several stages use is listed once, with what it is to each of them.
    pub fn build_on(&mut self, stages: Vec<(BaseImage, Stage)>) {
        let mut images: Vec<BaseImage> = Vec::new();
        for (image, stage) in stages {
            let known = images.iter().position(|known| known.is_same(&image)).unwrap_or_else(|| {
                images.push(image);
                images.len() - 1
            });
            images[known].stages.insert(stage);
        }
        self.base_images = images;
    }

    /// By name, version and ecosystem.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    pub fn base_images(&self) -> &[BaseImage] {
        &self.base_images
    }

    pub fn len(&self) -> usize {
        self.packages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_of_one_package_are_one() {
        let mut inventory = Inventory::default();
        inventory.add(Package::pypi("requests", "2.31.0").unwrap().found_in("requirements.txt"));
        inventory.add(
            Package::pypi("Requests", "2.31.0")
                .unwrap()
                .found_in("usr/lib/METADATA")
                .licensed(Some("Apache-2.0")),
        );
        inventory.add(Package::pypi("requests", "2.30.0").unwrap());
        // Another ecosystem's.
        inventory.add(Package::npm("requests", "2.31.0").unwrap());
        let listed: Vec<String> = inventory.packages().map(|package| package.purl.to_string()).collect();
        assert_eq!(
            listed,
            ["pkg:pypi/requests@2.30.0", "pkg:npm/requests@2.31.0", "pkg:pypi/requests@2.31.0"]
        );
        let both = inventory.packages().last().unwrap();
        assert_eq!(both.found_in.iter().collect::<Vec<_>>(), ["requirements.txt", "usr/lib/METADATA"]);
        assert_eq!(both.licenses.len(), 1);
    }

    #[test]
    fn the_find_that_knows_more_of_a_package_wins() {
        let mut inventory = Inventory::default();
        inventory.add(Package::deb("debian", None, "zlib1g", "1:1.2", "", None).unwrap());
        inventory.add(
            Package::deb("debian", Some("12"), "zlib1g", "1:1.2", "amd64", Some(("zlib", None))).unwrap(),
        );
        let only = inventory.packages().next().unwrap();
        assert_eq!(only.purl.qualifiers()["upstream"], "zlib");
        assert_eq!(inventory.len(), 1);
    }

    #[test]
    fn components_of_other_tools_are_taken_with_what_they_say() {
        let bom = cyclonedx::Bom::read(
            br#"{"bomFormat": "CycloneDX", "specVersion": "1.4", "components": [
                {"type": "library", "name": "lodash", "version": "4.17.20", "purl": "pkg:npm/lodash@4.17.20",
                 "properties": [{"name": "cachi2:found_by", "value": "cachi2"}],
                 "components": [{"type": "library", "name": "inner", "purl": "pkg:npm/inner@1.0.0"}]},
                {"type": "file", "name": "nothing to look up"}]}"#,
        )
        .unwrap();
        let mut inventory = Inventory::default();
        inventory.merge(bom);
        let listed: Vec<String> = inventory.packages().map(Package::full_name).collect();
        assert_eq!(listed, ["inner", "lodash"]);
        assert_eq!(inventory.packages().last().unwrap().properties["cachi2:found_by"], "cachi2");
    }
}
