//! Finds references to images in files.
//!
//! ```text
//! file ─▶ regex, dockerfile, tekton ─▶ Dependency: name, tag, digest, and where they are written
//! ```

mod dockerfile;
mod regexes;
mod tekton;

use std::ops::Range;

use super::config::{Config, InvalidConfig, ManagerSettings};
use super::patterns::Patterns;
use regexes::Expressions;

/// Who found a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Manager {
    Regex,
    Dockerfile,
    Tekton,
}

/// A reference to an image in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) manager: Manager,
    pub(crate) file: String,
    /// Registry and repository, by the name that rules have for it.
    pub(crate) name: String,
    /// The tag that it is at.
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) places: Places,
}

/// Where the parts of a reference are in the text of its file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Absent if the tag is not written there, or must stay.
    pub(crate) tag: Option<Range<usize>>,
    pub(crate) digest: Option<Range<usize>>,
    /// Where `@<digest>` goes if there is none. Absent if there is no such place.
    pub(crate) end: Option<usize>,
}

/// What is looked for, and in which files.
pub(crate) struct Managers {
    expressions: Vec<Expressions>,
    dockerfile: Option<Files>,
    tekton: Option<Files>,
    ignored: Patterns,
}

/// Which files a manager looks into.
struct Files {
    matched: Patterns,
    included: Patterns,
}

impl Files {
    fn new(
        defaults: &[&str],
        file_match: &[String],
        patterns: &[String],
        include_paths: &[String],
    ) -> Result<Self, InvalidConfig> {
        let mut matched = Patterns::expressions("fileMatch", file_match)?
            .or(Patterns::names("managerFilePatterns", patterns)?);
        if matched.is_empty() {
            let defaults: Vec<String> = defaults.iter().map(|&text| text.to_owned()).collect();
            matched = Patterns::expressions("fileMatch", &defaults)?;
        }
        Ok(Self { matched, included: Patterns::globs("includePaths", include_paths)? })
    }

    fn matches(&self, path: &str) -> bool {
        self.matched.matches(path) && (self.included.is_empty() || self.included.matches(path))
    }
}

impl Managers {
    pub(crate) fn new(config: &Config) -> Result<Self, InvalidConfig> {
        let of = |manager: Manager, settings: &ManagerSettings, defaults: &[&str]| {
            let is_on = config.is_enabled(manager.into()) && settings.enabled != Some(false);
            let files = is_on.then(|| {
                Files::new(
                    defaults,
                    &settings.file_match,
                    &settings.manager_file_patterns,
                    &settings.include_paths,
                )
            });
            files.transpose()
        };
        let custom = config.custom_managers.iter().filter(|_| config.is_enabled(Manager::Regex.into()));
        Ok(Self {
            expressions: custom.map(Expressions::new).collect::<Result<_, _>>()?,
            dockerfile: of(Manager::Dockerfile, &config.dockerfile, &dockerfile::FILES)?,
            tekton: of(Manager::Tekton, &config.tekton, &tekton::FILES)?,
            ignored: Patterns::globs("ignorePaths", &config.ignore_paths)?,
        })
    }

    /// Whether a file has to be read at all.
    pub(crate) fn wants(&self, path: &str) -> bool {
        let built_in =
            [&self.dockerfile, &self.tekton].into_iter().flatten().any(|files| files.matches(path));
        let is_wanted = built_in || self.expressions.iter().any(|one| one.wants(path));
        is_wanted && !self.ignored.matches(path)
    }

    /// The references in a file, each place once: what a regular expression of the settings finds is not found again.
    pub(crate) fn find(&self, path: &str, text: &str) -> Vec<Dependency> {
        let mut found = Vec::new();
        for expressions in self.expressions.iter().filter(|one| one.wants(path)) {
            expressions.find(path, text, &mut found);
        }
        if self.tekton.as_ref().is_some_and(|files| files.matches(path)) {
            tekton::find(path, text, &mut found);
        }
        if self.dockerfile.as_ref().is_some_and(|files| files.matches(path)) {
            dockerfile::find(path, text, &mut found);
        }
        let mut taken: Vec<Range<usize>> = Vec::new();
        found.retain(|dependency| {
            let Some(place) = dependency.places.extent() else { return false };
            let is_free = taken.iter().all(|other| place.end <= other.start || other.end <= place.start);
            if is_free {
                taken.push(place);
            }
            is_free
        });
        found
    }
}

impl Places {
    /// All that may be changed.
    fn extent(&self) -> Option<Range<usize>> {
        let parts = [self.tag.clone(), self.digest.clone(), self.end.map(|end| end..end + 1)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let start = parts.iter().map(|part| part.start).min()?;
        let end = parts.iter().map(|part| part.end).max()?;
        Some(start..end)
    }
}

/// Reads `[registry/]repository[:tag][@digest]`, which begins at `start` of its file. `None` if it is none, or is made of
/// variables.
fn reference(manager: Manager, file: &str, start: usize, text: &str) -> Option<Dependency> {
    text.parse::<registry::Reference>().ok()?;
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let tag_start = start + name.len() + 1;
    let digest_start = start + rest.len() + 1;
    Some(Dependency {
        manager,
        file: file.to_owned(),
        name: name.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
        places: Places {
            tag: tag.map(|tag| tag_start..tag_start + tag.len()),
            digest: digest.map(|digest| digest_start..digest_start + digest.len()),
            end: digest.is_none().then_some(start + text.len()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parts_of_a_reference_are_where_they_are_written() {
        let text = format!("xx registry.example:5000/org/app:v1@{DIGEST} yy");
        let written = &text[3..text.len() - 3];
        let found = reference(Manager::Dockerfile, "f", 3, written).unwrap();
        assert_eq!(found.name, "registry.example:5000/org/app");
        assert_eq!(&text[found.places.tag.clone().unwrap()], "v1");
        assert_eq!(&text[found.places.digest.clone().unwrap()], DIGEST);
        assert_eq!(found.places.end, None);
    }

    #[test]
    fn a_port_is_no_tag() {
        let found = reference(Manager::Dockerfile, "f", 0, "registry.example:5000/app").unwrap();
        assert_eq!((found.name.as_str(), found.tag), ("registry.example:5000/app", None));
        assert_eq!(found.places.end, Some(25));
    }

    #[test]
    fn what_regular_expressions_find_is_found_once() {
        let config = Config::parse(
            r#"{"customManagers": [{"customType": "regex", "fileMatch": ["Dockerfile"], "datasourceTemplate": "docker",
                "matchStrings": ["reg.example/app(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)"],
                "currentValueTemplate": "v2", "depNameTemplate": "reg.example/app"}]}"#,
        )
        .unwrap();
        let text = format!("FROM reg.example/app:v1@{DIGEST}\nFROM reg.example/other:v1\n");
        let found = Managers::new(&config).unwrap().find("Dockerfile", &text);
        let found: Vec<_> = found.iter().map(|one| (one.manager, one.name.as_str())).collect();
        assert_eq!(found, [(Manager::Regex, "reg.example/app"), (Manager::Dockerfile, "reg.example/other")]);
    }

    #[test]
    fn ignored_paths_are_not_read() {
        let config = Config::parse(r#"{"ignorePaths": ["vendor/**"]}"#).unwrap();
        let managers = Managers::new(&config).unwrap();
        assert!(managers.wants("a/Dockerfile") && managers.wants(".tekton/push.yaml"));
        assert!(!managers.wants("vendor/a/Dockerfile") && !managers.wants("src/main.rs"));
    }

    proptest! {
        /// Files are anybody's.
        #[test]
        fn never_panics_and_stays_within_the_text(
            path in r"(\.tekton/[a-z]{1,8}\.yaml|([a-z]{1,8}/)?Dockerfile|[a-z]{1,8}\.txt)",
            lines in proptest::collection::vec(
                prop_oneof![
                    "(FROM|COPY --from=|ARG A=|# syntax=| *- name: bundle| *value: | *image: ) ?[!-~]{0,60}",
                    "\\PC{0,60}",
                ],
                0..8,
            ),
        ) {
            let text = lines.join("\n");
            for found in Managers::new(&Config::default()).unwrap().find(&path, &text) {
                for place in [found.places.tag, found.places.digest].into_iter().flatten() {
                    prop_assert!(text.get(place).is_some());
                }
                prop_assert!(found.places.end.is_none_or(|end| text.is_char_boundary(end)));
            }
        }
    }
}
