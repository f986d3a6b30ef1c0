//! The list that an image carries beside its bill of materials, as `sbom-purl.json`: package URLs and nothing else.

use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageContents {
    pub image_contents: Contents,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub purl: String,
}

impl From<&Inventory> for ImageContents {
    fn from(inventory: &Inventory) -> Self {
        let purls = inventory.packages().map(|package| Dependency { purl: package.purl.to_string() });
        Self { image_contents: Contents { dependencies: purls.collect() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Package;

    #[test]
    fn is_what_readers_of_images_expect() {
        let mut inventory = Inventory::default();
        inventory.add(Package::cargo("time", "0.1.44").unwrap());
        assert_eq!(
            serde_json::to_string(&ImageContents::from(&inventory)).unwrap(),
            r#"{"image_contents":{"dependencies":[{"purl":"pkg:cargo/time@0.1.44"}]}}"#
        );
    }
}
