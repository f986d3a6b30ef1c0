//! Which image goes where, under which tags.

use anyhow::{bail, ensure};
use registry::Reference;
use serde_json::Value;

use crate::apply_mapping::facts::{Moments, formatted};
use crate::apply_mapping::mapped::{Component, Snapshot};
use crate::apply_mapping::template::{is_tag, short};

/// One image to one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) component: String,
    /// By its digest.
    pub(crate) image: Reference,
    pub(crate) repository: Reference,
    /// By which users pull it.
    pub(crate) public: String,
    /// At least one.
    pub(crate) tags: Vec<String>,
    /// Tags of the image of the sources; none if it is not wanted.
    pub(crate) source_tags: Vec<String>,
    /// Tags under which the image of the sources may be, beside the image, best first.
    pub(crate) source_from: Vec<String>,
}

/// `data.images`, and when the release began.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    floating_tags: Vec<String>,
    default_tag: Option<String>,
    timestamp: String,
    /// For `addTimestampTag`.
    long_timestamp: Option<String>,
    add_git_sha_tag: bool,
    add_source_sha_tag: bool,
    push_source_container: bool,
}

impl Rules {
    pub(crate) fn new(images: &Value, moments: Moments) -> anyhow::Result<Self> {
        let flag = |field: &str, default: bool| match &images[field] {
            Value::Null => Ok(default),
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
            other => bail!("data.images.{field} is {other}: expected true or false"),
        };
        let text = |field: &str| match &images[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => bail!("data.images.{field} is {other}: expected a text"),
        };
        let floating_tags = match &images["floatingTags"] {
            Value::Null => Vec::new(),
            Value::Array(tags) if tags.iter().all(Value::is_string) => {
                tags.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            other => bail!("data.images.floatingTags is {other}: expected a list of tags"),
        };
        let format = text("timestampFormat")?.unwrap_or_else(|| "%s".to_owned());
        let long = flag("addTimestampTag", false)?;
        Ok(Self {
            floating_tags,
            default_tag: text("defaultTag")?,
            timestamp: formatted(&format, moments.release)?,
            long_timestamp: long.then(|| formatted("%Y-%m-%dT%H-%M-%SZ", moments.release)).transpose()?,
            add_git_sha_tag: flag("addGitShaTag", true)?,
            add_source_sha_tag: flag("addSourceShaTag", true)?,
            push_source_container: flag("pushSourceContainer", false)?,
        })
    }

    /// Tags of an image where the mapping names none.
    fn tags(&self, component: &Component, image: &Reference) -> anyhow::Result<Vec<String>> {
        let mut tags: Vec<String> = self
            .floating_tags
            .iter()
            .flat_map(|tag| [tag.clone(), format!("{tag}-{}", self.timestamp)])
            .collect();
        if tags.is_empty() {
            let one = component.tag.as_ref().or(self.default_tag.as_ref());
            tags.push(one.map_or("latest", String::as_str).to_owned());
        }
        tags.extend(self.long_timestamp.clone());
        if self.add_git_sha_tag {
            let Some(commit) = component.commit() else {
                bail!(
                    "data.images.addGitShaTag: the Snapshot says no source.git.revision of it; set addGitShaTag to false to do without"
                );
            };
            tags.extend([short(commit).to_owned(), commit.to_owned()]);
        }
        if self.add_source_sha_tag {
            tags.extend(image.digest().map(|digest| digest.hex().to_owned()));
        }
        Ok(tags)
    }

    fn source_tags(
        &self,
        component: &Component,
        tags: &[String],
        is_by_mapping: bool,
    ) -> anyhow::Result<Vec<String>> {
        if !component.push_source_container.unwrap_or(self.push_source_container) {
            return Ok(Vec::new());
        }
        if is_by_mapping {
            return Ok(tags.iter().map(|tag| format!("{tag}-source")).collect());
        }
        ensure!(
            !self.floating_tags.is_empty(),
            "data.images.pushSourceContainer needs data.images.floatingTags: they are what sources are tagged with"
        );
        let tags = self.floating_tags.iter();
        Ok(tags
            .flat_map(|tag| [format!("{tag}-source"), format!("{tag}-{}-source", self.timestamp)])
            .collect())
    }
}

/// All that is to be done, or all that is wrong.
pub(crate) fn pushes(snapshot: &Snapshot, rules: &Rules) -> anyhow::Result<Vec<Push>> {
    let (mut pushes, mut faults) = (Vec::new(), Vec::new());
    for component in &snapshot.components {
        match of_component(component, rules) {
            Ok(found) => pushes.extend(found),
            Err(error) => faults.push(format!("component {:?}: {error:#}", component.name)),
        }
    }
    if faults.is_empty() { Ok(pushes) } else { bail!("{}", faults.join("\n")) }
}

fn of_component(component: &Component, rules: &Rules) -> anyhow::Result<Vec<Push>> {
    let image = component.image()?;
    let mut pushes = Vec::new();
    for to in component.destinations()? {
        let is_by_mapping = to.tags.is_some();
        let mut tags = match to.tags {
            Some(tags) => tags,
            None => rules.tags(component, &image)?,
        };
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        ensure!(!tags.is_empty(), "no tags for {}: add some to the mapping", to.repository.name());
        let source_tags = rules.source_tags(component, &tags, is_by_mapping)?;
        if let Some(bad) = tags.iter().chain(&source_tags).find(|tag| !is_tag(tag)) {
            bail!("{bad:?} is no tag: a tag has up to 128 letters, digits, and _ . - after the first");
        }
        let by_digest = image.digest().map(|digest| registry::Attached::Source.tag(digest));
        let by_commit = component.commit().map(|commit| format!("{commit}.src"));
        pushes.push(Push {
            component: component.name.clone(),
            image: image.clone(),
            repository: to.repository,
            public: to.public,
            tags,
            source_tags,
            source_from: by_digest.into_iter().chain(by_commit.filter(|tag| is_tag(tag))).collect(),
        });
    }
    Ok(pushes)
}

/// The tags that all images get, in the first one's order.
pub(crate) fn common_tags(plan: &[Push]) -> Vec<String> {
    let Some((first, rest)) = plan.split_first() else { return Vec::new() };
    let is_common = |tag: &&String| rest.iter().all(|push| push.tags.contains(tag));
    first.tags.iter().filter(is_common).cloned().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn rules(images: &Value) -> anyhow::Result<Rules> {
        Rules::new(images, Moments { release: "2024-03-01T02:03:04Z".parse().unwrap() })
    }

    fn snapshot(extra: &Value) -> Snapshot {
        let mut component = json!({
            "name": "app", "containerImage": format!("quay.io/tenant/app@sha256:{HEX}"), "repository": "quay.io/prod/app",
            "source": {"git": {"revision": COMMIT, "url": "https://git.test/a/b"}},
        });
        for (key, value) in extra.as_object().unwrap() {
            component[key] = value.clone();
        }
        serde_json::from_value(json!({"application": "a", "components": [component]})).unwrap()
    }

    fn tags(images: &Value, extra: &Value) -> anyhow::Result<String> {
        Ok(pushes(&snapshot(extra), &rules(images)?)?[0].tags.join(" "))
    }

    #[rstest]
    #[case::nothing_said(json!({}), json!({}), &format!("latest 0123456 {COMMIT} {HEX}"))]
    #[case::own_tag(json!({"defaultTag": "d"}), json!({"tag": "own"}), &format!("own 0123456 {COMMIT} {HEX}"))]
    #[case::default_tag(json!({"defaultTag": "d", "addGitShaTag": false, "addSourceShaTag": "false"}), json!({}), "d")]
    #[case::floating(
        json!({"floatingTags": ["v1", "v1.2"], "addGitShaTag": false, "addSourceShaTag": false}), json!({}),
        "v1 v1-1709258584 v1.2 v1.2-1709258584"
    )]
    #[case::formats(
        json!({"floatingTags": ["v1"], "timestampFormat": "%Y%m%d", "addTimestampTag": true, "addGitShaTag": false, "addSourceShaTag": false}),
        json!({}), "v1 v1-20240301 2024-03-01T02-03-04Z"
    )]
    #[case::the_mapping_decides_alone(json!({"floatingTags": ["v1"]}), json!({"tags": ["a", "b", "a"]}), "a b")]
    fn tags_of_an_image(#[case] images: Value, #[case] extra: Value, #[case] expected: &str) {
        assert_eq!(tags(&images, &extra).unwrap(), expected);
    }

    #[rstest]
    #[case::no_commit(json!({}), json!({"source": null}), "addGitShaTag")]
    #[case::no_tags(json!({}), json!({"tags": []}), "no tags for quay.io/prod/app")]
    #[case::bad_tag(json!({}), json!({"tags": ["a/b"]}), "\"a/b\" is no tag")]
    #[case::option(json!({"defaultTag": "--x"}), json!({}), "is no tag")]
    #[case::no_digest(json!({}), json!({"containerImage": "quay.io/tenant/app:v1"}), "expected repository@sha256")]
    #[case::tag_and_digest(json!({}), json!({"containerImage": format!("quay.io/a/b:v1@sha256:{HEX}")}), "without a tag")]
    #[case::no_repository(json!({}), json!({"repository": null}), "has no repository")]
    #[case::repository_with_a_tag(json!({}), json!({"repository": "quay.io/prod/app:v1"}), "without tag and digest")]
    #[case::bad_flag(json!({"addGitShaTag": "maybe"}), json!({}), "data.images.addGitShaTag")]
    #[case::bad_list(json!({"floatingTags": "v1"}), json!({}), "data.images.floatingTags")]
    #[case::sources_without_floating_tags(json!({"pushSourceContainer": true}), json!({}), "floatingTags")]
    fn bad_input_is_named(#[case] images: Value, #[case] extra: Value, #[case] words: &str) {
        let error = format!("{:#}", tags(&images, &extra).unwrap_err());
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn sources_are_tagged_like_the_image() {
        let images = json!({"floatingTags": ["v1"], "pushSourceContainer": true});
        let push = pushes(&snapshot(&json!({})), &rules(&images).unwrap()).unwrap().remove(0);
        assert_eq!(push.source_tags, ["v1-source", "v1-1709258584-source"]);
        assert_eq!(push.source_from, [format!("sha256-{HEX}.src"), format!("{COMMIT}.src")]);
        let mapped = json!({"tags": ["a"], "pushSourceContainer": true});
        let push = pushes(&snapshot(&mapped), &rules(&json!({})).unwrap()).unwrap().remove(0);
        assert_eq!(push.source_tags, ["a-source"]);
    }

    #[test]
    fn common_tags_are_those_of_all() {
        let mut snapshot = snapshot(&json!({"tags": ["v1", "a"]}));
        let mut other = self::snapshot(&json!({"tags": ["b", "v1"]}));
        snapshot.components.append(&mut other.components);
        let plan = pushes(&snapshot, &rules(&json!({})).unwrap()).unwrap();
        assert_eq!(common_tags(&plan), ["v1"]);
        assert_eq!(common_tags(&[]), Vec::<String>::new());
    }

    #[test]
    fn an_image_may_go_to_several_repositories() {
        let extra = json!({"tags": ["v1"], "repositories": [{"url": "quay.io/mirror/app", "publicUrl": "registry.test/app", "tags": ["m"]}]});
        let plan = pushes(&snapshot(&extra), &rules(&json!({})).unwrap()).unwrap();
        let seen: Vec<_> = plan
            .iter()
            .map(|push| (push.repository.name(), push.public.clone(), push.tags.join(" ")))
            .collect();
        let expected = [
            ("quay.io/prod/app".to_owned(), "quay.io/prod/app".to_owned(), "v1".to_owned()),
            ("quay.io/mirror/app".to_owned(), "registry.test/app".to_owned(), "m".to_owned()),
        ];
        assert_eq!(seen, expected);
    }
}
