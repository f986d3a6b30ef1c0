//! References that regular expressions of the settings find.

use regex::{Captures, Regex};

use super::{Dependency, Files, Manager, Places};
use crate::update::config::{CustomManager, InvalidConfig};
use crate::update::patterns;

/// References that are taken of one file.
const MAX_FOUND: usize = 1000;

/// One custom manager.
pub(super) struct Expressions {
    files: Files,
    matched: Vec<Regex>,
    name: Option<String>,
    tag: Option<String>,
}

impl Expressions {
    pub(super) fn new(custom: &CustomManager) -> Result<Self, InvalidConfig> {
        let field = |field, reason: String| InvalidConfig::Field { field, reason };
        if !matches!(custom.custom_type.as_str(), "" | "regex") {
            let reason = format!("{:?} is not known here; regex is", custom.custom_type);
            return Err(field("customManagers.customType", reason));
        }
        if custom.datasource_template.as_deref().is_some_and(|datasource| datasource != "docker") {
            let reason = format!("{:?} is not known here; docker is", custom.datasource_template);
            return Err(field("customManagers.datasourceTemplate", reason));
        }
        let expressions = custom.match_strings.iter();
        let expressions = expressions.map(|text| patterns::regex("customManagers.matchStrings", text));
        Ok(Self {
            // With no pattern at all no file.
            files: Files::new(&["$^"], &custom.file_match, &custom.manager_file_patterns, &[])?,
            matched: expressions.collect::<Result<_, _>>()?,
            name: custom.package_name_template.clone().or_else(|| custom.dep_name_template.clone()),
            tag: custom.current_value_template.clone(),
        })
    }

    pub(super) fn wants(&self, path: &str) -> bool {
        self.files.matches(path)
    }

    pub(super) fn find(&self, path: &str, text: &str, found: &mut Vec<Dependency>) {
        for expression in &self.matched {
            let matched = expression.captures_iter(text).take(MAX_FOUND);
            found.extend(matched.filter_map(|groups| self.dependency(path, &groups)));
        }
    }

    fn dependency(&self, path: &str, groups: &Captures<'_>) -> Option<Dependency> {
        let group = |name| groups.name(name).filter(|group| !group.is_empty());
        let digest = group("currentDigest");
        let tag = group("currentValue");
        let named = group("packageName").or_else(|| group("depName"));
        let name = self.name.clone().or_else(|| named.map(|group| group.as_str().to_owned()))?;
        Some(Dependency {
            manager: Manager::Regex,
            file: path.to_owned(),
            name,
            tag: self.tag.clone().or_else(|| tag.map(|group| group.as_str().to_owned())),
            digest: digest.map(|group| group.as_str().to_owned()),
            places: Places {
                tag: tag.map(|group| group.range()),
                digest: digest.map(|group| group.range()),
                end: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn custom(json: &serde_json::Value) -> CustomManager {
        serde_json::from_value(json.clone()).unwrap()
    }

    /// As the nudging controller writes it.
    fn nudge() -> CustomManager {
        custom(&serde_json::json!({
            "customType": "regex",
            "fileMatch": [".*Dockerfile.*", ".*.yaml"],
            "datasourceTemplate": "docker",
            "matchStrings": [r"registry\.example/org/app(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)"],
            "currentValueTemplate": "build-7",
            "depNameTemplate": "registry.example/org/app",
        }))
    }

    #[test]
    fn finds_digests_at_the_tag_of_the_template() {
        let expressions = Expressions::new(&nudge()).unwrap();
        assert!(expressions.wants("deploy/app.yaml") && !expressions.wants("README.md"));
        let text =
            format!("FROM registry.example/org/app:old@{OLD}\nimage: registry.example/org/app@{OLD} # x\n");
        let mut found = Vec::new();
        expressions.find("Dockerfile", &text, &mut found);
        assert_eq!(found.len(), 2);
        for one in found {
            assert_eq!((one.tag.as_deref(), one.digest.as_deref()), (Some("build-7"), Some(OLD)));
            assert_eq!(&text[one.places.digest.unwrap()], OLD);
            assert_eq!((one.places.tag, one.places.end), (None, None), "nothing but the digest changes");
        }
    }

    #[test]
    fn of_other_images_nothing() {
        let mut found = Vec::new();
        let text = format!("registryXexample/org/app@{OLD} registry.example/org/app2@{OLD}");
        Expressions::new(&nudge()).unwrap().find("Dockerfile", &text, &mut found);
        assert_eq!(found, []);
    }

    #[test]
    fn groups_may_name_all_parts() {
        let custom = custom(&serde_json::json!({
            "fileMatch": ["x"],
            "matchStrings": [r"image=(?<depName>[^:]+):(?<currentValue>\S+)"],
        }));
        let mut found = Vec::new();
        Expressions::new(&custom).unwrap().find("x", "image=reg.example/a:1.2", &mut found);
        assert_eq!((found[0].name.as_str(), found[0].tag.as_deref()), ("reg.example/a", Some("1.2")));
        assert_eq!(found[0].places.tag, Some(20..23));
    }

    #[test]
    fn other_kinds_are_refused() {
        for json in [
            serde_json::json!({"customType": "jsonata"}),
            serde_json::json!({"customType": "regex", "datasourceTemplate": "npm"}),
            serde_json::json!({"customType": "regex", "matchStrings": ["("]}),
        ] {
            assert!(Expressions::new(&custom(&json)).is_err(), "{json}");
        }
    }
}
