//! A case: a YAML file whose first document says what is shown and expected, and whose others are the objects.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::expectation::Expectation;
use crate::{images::Bundled, paths};

/// What resolvers fetch: the objects of a bundle, and files of a Git repository.
pub const REMOTE: &str = "tests/conformance/remote";

/// Seconds that a case has if it does not say.
const LIMIT: u64 = 60;

pub struct Case {
    /// Of the file, without `.yaml`.
    pub name: String,
    /// With stand-ins for what is in `${…}`.
    pub header: Header,
    text: String,
}

/// The first document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// In one sentence, for docs/reference/tekton-compatibility.md.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page of what is supported"))]
    pub shows: String,
    pub feature: Feature,
    /// What the cluster has to have; the case is skipped elsewhere.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Feature flags of the engine by upstream's names. Where the engine refuses an object and names one of them, the case is
    /// skipped.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Why upstream does it differently, where it does.
    #[serde(default)]
    pub ours: Option<String>,
    #[serde(default)]
    pub quick: bool,
    /// Seconds.
    #[serde(default = "limit")]
    pub limit: u64,
    #[serde(default)]
    pub namespace_labels: BTreeMap<String, String>,
    /// What is done when the objects are there, in this order.
    #[serde(default)]
    pub then: Vec<Act>,
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

fn limit() -> u64 {
    LIMIT
}

/// A heading of docs/reference/tekton-compatibility.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, strum::Display)]
#[cfg_attr(test, derive(strum::EnumIter))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Feature {
    Order,
    When,
    Finally,
    Retries,
    Timeouts,
    Params,
    Results,
    Workspaces,
    Cancellation,
    Steps,
    StepActions,
    Sidecars,
    Resolvers,
    Credentials,
    Pods,
    Metadata,
    Validation,
    Failures,
    Versions,
}

/// What not every cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A StorageClass that makes volumes for claims which name none.
    Storage,
    /// A registry that takes a bundle.
    Bundle,
    /// `--git-repository`.
    Git,
}

/// Something that is done to the cluster.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Waits until the object is like this.
    Await {
        of: Address,
        is: Value,
    },
    /// A JSON merge patch.
    Patch {
        of: Address,
        with: Value,
    },
    Create(Value),
    Delete(Address),
    /// Creating the object is refused in words that contain all of these.
    Refuses {
        object: Value,
        says: Vec<String>,
    },
    /// So is this merge patch.
    RefusesPatch {
        of: Address,
        with: Value,
        says: Vec<String>,
    },
}

/// An object of the case's namespace, written `Kind/name`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    pub kind: String,
    pub name: String,
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
                Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is not written Kind/name")),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// What stands in manifests for what differs from run to run.
pub struct Names<'a> {
    pub namespace: &'a str,
    pub image: &'a str,
    pub bundle: &'a str,
    pub git: &'a str,
}

impl Case {
    fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let names = Names { namespace: "namespace", image: "image", bundle: "bundle", git: "git" };
        let (header, objects) = instance(text, &names).with_context(|| format!("case {name}"))?;
        let is_refused = |act: &Act| matches!(act, Act::Refuses { .. } | Act::RefusesPatch { .. });
        ensure!(
            !header.expect.is_empty() || header.then.iter().any(is_refused),
            "case {name} expects nothing: give it `expect`, or an act that is refused"
        );
        ensure!(!objects.is_empty() || !header.then.is_empty(), "case {name} has neither objects nor acts");
        Ok(Self { name: name.to_owned(), header, text: text.to_owned() })
    }

    /// The header and the objects, in the order of the file, with these names in place.
    pub fn instance(&self, names: &Names<'_>) -> anyhow::Result<(Header, Vec<Value>)> {
        instance(&self.text, names).with_context(|| format!("case {}", self.name))
    }
}

fn instance(text: &str, names: &Names<'_>) -> anyhow::Result<(Header, Vec<Value>)> {
    let text = text
        .replace("${NAMESPACE}", names.namespace)
        .replace("${IMAGE}", names.image)
        .replace("${BUNDLE}", names.bundle)
        .replace("${GIT}", names.git);
    // Inside a document such a line would be indented.
    let mut documents = text.split("\n---\n");
    let header = document(documents.next().unwrap_or_default()).context("header")?;
    let objects = documents.map(|text| document(text).with_context(|| text.to_owned()));
    Ok((header, objects.collect::<anyhow::Result<_>>()?))
}

/// Reads YAML as Kubernetes does: `on` is text.
fn document<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    let options = serde_saphyr::options! { strict_booleans: true, leading_zero_numbers_as_strings: true };
    Ok(serde_saphyr::from_str_with_options(text, options)?)
}

/// The cases of a folder, by name.
pub fn read_all(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = files(folder)?
        .into_iter()
        .map(|(name, text)| Case::parse(&name, &text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

/// What goes into the bundle of the suite. Files are called `<kind>-<name>.yaml`.
pub fn bundled() -> anyhow::Result<Vec<Bundled>> {
    let mut files = files(&paths::repository()?.join(REMOTE))?;
    files.sort();
    let objects = files.into_iter().map(|(stem, yaml)| {
        let (kind, name) =
            stem.split_once('-').with_context(|| format!("{REMOTE}/{stem}.yaml names no kind"))?;
        Ok(Bundled { version: "v1", kind: kind.to_owned(), name: name.to_owned(), yaml })
    });
    objects.collect()
}

/// Name without extension, and content, of each YAML file directly in a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let wrong = || format!("read {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(wrong)? {
        let path = entry.with_context(wrong)?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push((
            name,
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?,
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Namespaces are named after their cases: `conform-<five letters>-<case>`.
    const LONGEST_NAME: usize = 63 - "conform-12345-".len();

    #[test]
    fn every_case_can_be_read() {
        let cases = read_all(&paths::repository().unwrap().join(super::super::CASES)).unwrap();
        assert!(cases.len() >= 70, "{} cases", cases.len());
        let long: Vec<_> =
            cases.iter().map(|case| &case.name).filter(|name| name.len() > LONGEST_NAME).collect();
        assert!(long.is_empty(), "too long for a namespace: {long:?}");
        assert!(!bundled().unwrap().is_empty());
    }

    #[test]
    fn a_case_is_a_header_and_objects() {
        let text = "shows: s\nfeature: order\nexpect:\n- run: {of: PipelineRun/r, succeeds: Succeeded}\n\
                    ---\nkind: A\nimage: ${IMAGE}\n---\nkind: B\n";
        let case = Case::parse("c", text).unwrap();
        let names = Names { namespace: "n", image: "shell", bundle: "b", git: "g" };
        let (_, objects) = case.instance(&names).unwrap();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0]["image"], "shell");
    }

    #[test]
    fn a_mistake_is_named() {
        let refusal = |text: &str| format!("{:#}", Case::parse("c", text).err().unwrap());
        assert!(refusal("shows: s\nfeature: order\n---\nkind: A\n").contains("expects nothing"));
        assert!(refusal("shows: s\nfeature: order\nexpects: []\n").contains("expects"));
        assert!(refusal("shows: s\nfeature: order\nthen: [{delete: name}]\n").contains("Kind/name"));
    }
}
