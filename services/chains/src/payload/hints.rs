//! What the results and parameters of a run say about its outputs and inputs (specification, section 4.3).
//!
//! ```text
//! <prefix>IMAGE_URL + <prefix>IMAGE_DIGEST, IMAGES            ─▶ images
//! <prefix>ARTIFACT_URI + <prefix>ARTIFACT_DIGEST, *ARTIFACT_OUTPUTS ─▶ other outputs
//! CHAINS-GIT_URL + CHAINS-GIT_COMMIT, *ARTIFACT_INPUTS         ─▶ inputs
//! ```
//! The good hints are taken, each bad one gives a note. Tasks of tenants wrote all of it.

use std::collections::BTreeMap;

use pipelines_engine_api::{Param, ParamSpec, ParamValue};
use registry::{Digest, Reference};

use super::artifact::{self, Artifact, DigestSet};

/// Longest text of a stranger that a note repeats, in characters.
const SHOWN: usize = 100;

/// One result of a run or a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a ParamValue,
}

/// Something that a run says it has made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) artifact: Artifact,
    /// What of it can be signed as an image.
    pub(super) image: Option<ImageRef>,
    /// Results that said so.
    pub(super) results: Vec<String>,
    /// `isBuildArtifact` of an object result. Other forms have no such field and are always meant.
    pub(super) is_build_artifact: bool,
}

/// An image at a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ImageRef {
    /// Registry and repository, without tag.
    pub(crate) repository: String,
    pub(crate) digest: Digest,
}

/// What of the results is an output, in the order of the forms above, within a form by name of the result.
pub(super) fn outputs(hints: &[Hint<'_>], notes: &mut Vec<String>) -> Vec<Output> {
    let mut found = Vec::new();
    for (url, digest) in pairs(hints, "IMAGE_URL", "IMAGE_DIGEST", notes) {
        let place = format!("results {} and {}", url.name, digest.name);
        let text = format!("{}@{}", url.text, digest.text);
        found.extend(noted(image(&text, &place), notes).map(|image| image.said_by([url.name, digest.name])));
    }
    for hint in hints.iter().filter(|hint| hint.name == "IMAGES") {
        for text in list(hint.value) {
            let read = image(text, "result IMAGES");
            found.extend(noted(read, notes).map(|image| image.said_by([hint.name])));
        }
    }
    for (uri, digest) in pairs(hints, "ARTIFACT_URI", "ARTIFACT_DIGEST", notes) {
        let place = format!("results {} and {}", uri.name, digest.name);
        let read = other(uri.text, digest.text, &place, true);
        found.extend(noted(read, notes).map(|output| output.said_by([uri.name, digest.name])));
    }
    for hint in objects(hints, "ARTIFACT_OUTPUTS") {
        let place = format!("result {}", hint.name);
        let read = fields(hint.value, &place).and_then(|(uri, digest)| {
            let is_build_artifact =
                field(hint.value, "isBuildArtifact").is_some_and(|text| text.eq_ignore_ascii_case("true"));
            other(uri, digest, &place, is_build_artifact)
        });
        found.extend(noted(read, notes).map(|output| output.said_by([hint.name])));
    }
    merge(found)
}

/// What of the results and parameters is an input.
///
/// `declared` are the parameters that the Task or Pipeline has: their defaults count least, results most.
pub(super) fn inputs(
    declared: &[ParamSpec],
    given: &[Param],
    hints: &[Hint<'_>],
    notes: &mut Vec<String>,
) -> Vec<Artifact> {
    let mut found = Vec::new();
    found.extend(git(declared, given, hints, notes));
    for hint in objects(hints, "ARTIFACT_INPUTS") {
        let place = format!("result {}", hint.name);
        let read = fields(hint.value, &place).and_then(|(uri, digest)| {
            Ok(Artifact { name: uri.to_owned(), digest: digest_set(digest, &place)? })
        });
        found.extend(noted(read, notes));
    }
    artifact::merge(found)
}

fn git(
    declared: &[ParamSpec],
    given: &[Param],
    hints: &[Hint<'_>],
    notes: &mut Vec<String>,
) -> Option<Artifact> {
    let last = |name: &str| {
        let defaults =
            declared.iter().filter(|spec| spec.name == name).filter_map(|spec| spec.default.as_ref());
        let params = given.iter().filter(|param| param.name == name).map(|param| &param.value);
        let results = hints.iter().filter(|hint| hint.name == name).map(|hint| hint.value);
        let values = defaults.chain(params).chain(results);
        values.filter_map(ParamValue::as_str).map(str::trim).rfind(|text| !text.is_empty())
    };
    let (url, commit) = (last("CHAINS-GIT_URL")?, last("CHAINS-GIT_COMMIT")?);
    let digest = noted(digest_set(&format!("sha1:{commit}"), "CHAINS-GIT_COMMIT"), notes)?;
    let url = url.strip_prefix("git+").unwrap_or(url);
    let url = url.strip_suffix(".git").unwrap_or(url);
    Some(Artifact { name: format!("git+{url}.git"), digest })
}

/// A result of the type string.
#[derive(Clone, Copy)]
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

/// Results `<prefix><first>` and `<prefix><second>` that both say something, by prefix.
fn pairs<'a>(
    hints: &[Hint<'a>],
    first: &str,
    second: &str,
    notes: &mut Vec<String>,
) -> Vec<(Text<'a>, Text<'a>)> {
    let mut halves: BTreeMap<&str, (Option<Text<'a>>, Option<Text<'a>>)> = BTreeMap::new();
    for hint in hints {
        let (prefix, is_first) = match (hint.name.strip_suffix(first), hint.name.strip_suffix(second)) {
            (Some(prefix), _) => (prefix, true),
            (_, Some(prefix)) => (prefix, false),
            _ => continue,
        };
        let Some(text) = hint.value.as_str().map(str::trim) else {
            notes.push(format!("result {} is left out: it is no string", hint.name));
            continue;
        };
        let half = halves.entry(prefix).or_default();
        let half = if is_first { &mut half.0 } else { &mut half.1 };
        // A task that did not get as far as building writes empty results.
        if !text.is_empty() {
            *half = Some(Text { name: hint.name, text });
        }
    }
    let mut whole = Vec::new();
    for (prefix, half) in halves {
        match half {
            (Some(one), Some(other)) => whole.push((one, other)),
            (Some(one), None) => notes.push(lonely(one.name, prefix, second)),
            (None, Some(other)) => notes.push(lonely(other.name, prefix, first)),
            (None, None) => {}
        }
    }
    whole
}

fn lonely(name: &str, prefix: &str, missing: &str) -> String {
    format!("result {name} is left out: there is no result {prefix}{missing}, or it is empty")
}

/// Object results whose names end so, by name.
fn objects<'a>(hints: &[Hint<'a>], suffix: &str) -> Vec<Hint<'a>> {
    let mut found: Vec<_> = hints.iter().copied().filter(|hint| hint.name.ends_with(suffix)).collect();
    found.sort_by_key(|hint| hint.name);
    found
}

/// Parts between commas and line breaks.
fn list(value: &ParamValue) -> Vec<&str> {
    let texts: Vec<&str> = match value {
        ParamValue::String(text) => text.split([',', '\n']).collect(),
        ParamValue::Array(texts) => texts.iter().map(String::as_str).collect(),
        ParamValue::Object(_) => Vec::new(),
    };
    texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect()
}

fn field<'a>(value: &'a ParamValue, key: &str) -> Option<&'a str> {
    match value {
        ParamValue::Object(fields) => fields.get(key).map(|text| text.trim()).filter(|text| !text.is_empty()),
        ParamValue::String(_) | ParamValue::Array(_) => None,
    }
}

/// `uri` and `digest` of an object result.
fn fields<'a>(value: &'a ParamValue, place: &str) -> Result<(&'a str, &'a str), String> {
    let needed = |key| {
        field(value, key).ok_or_else(|| format!("{place} is left out: it is no object with a field {key:?}"))
    };
    Ok((needed("uri")?, needed("digest")?))
}

fn image(text: &str, place: &str) -> Result<Output, String> {
    let bad = |why: String| format!("{place}: {:?} is left out: {why}", shown(text));
    let reference: Reference = text.parse().map_err(|error| bad(format!("{error}")))?;
    let digest = reference.digest().cloned().ok_or_else(|| bad("it has no digest".to_owned()))?;
    let image = ImageRef { repository: reference.name(), digest };
    Ok(Output {
        artifact: Artifact { name: image.repository.clone(), digest: sha256(&image.digest) },
        image: Some(image),
        results: Vec::new(),
        is_build_artifact: true,
    })
}

/// An output that need not be an image.
fn other(uri: &str, digest: &str, place: &str, is_build_artifact: bool) -> Result<Output, String> {
    let digest = digest_set(digest, place)?;
    let image = at_registry(uri, &digest);
    let name = image.as_ref().map_or_else(|| uri.to_owned(), |image| image.repository.clone());
    Ok(Output {
        artifact: Artifact { name, digest },
        image: image.filter(|_| is_build_artifact),
        results: Vec::new(),
        is_build_artifact,
    })
}

/// The image that is meant by a name that begins with a registry, so that it is the same whatever form names it.
fn at_registry(uri: &str, digest: &DigestSet) -> Option<ImageRef> {
    let (registry, _) = uri.split_once('/')?;
    if uri.contains("://") || !(registry.contains(['.', ':']) || registry == "localhost") {
        return None;
    }
    let digest: Digest = format!("sha256:{}", digest.get("sha256")?).parse().ok()?;
    let reference: Reference = uri.parse().ok()?;
    let is_same = reference.digest().is_none_or(|own| *own == digest);
    is_same.then(|| ImageRef { repository: reference.name(), digest })
}

fn digest_set(text: &str, place: &str) -> Result<DigestSet, String> {
    artifact::digest_set(text).ok_or_else(|| {
        format!(
            "{place} is left out: {:?} is no digest; digests are sha256:, sha384:, sha512: or sha1: and lower-case \
             hexadecimal digits",
            shown(text)
        )
    })
}

fn sha256(digest: &Digest) -> DigestSet {
    DigestSet::from([("sha256".to_owned(), digest.hex().to_owned())])
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn noted<T>(read: Result<T, String>, notes: &mut Vec<String>) -> Option<T> {
    read.map_err(|note| notes.push(note)).ok()
}

impl Output {
    fn said_by<const N: usize>(mut self, results: [&str; N]) -> Self {
        self.results = results.map(str::to_owned).into();
        self
    }
}

/// The same thing said twice is one output.
pub(super) fn merge(outputs: Vec<Output>) -> Vec<Output> {
    artifact::merge_by(
        outputs,
        |output| &output.artifact,
        |known, same| {
            known.artifact.absorb(same.artifact);
            known.image = known.image.take().or(same.image);
            known.results.extend(same.results);
            known.is_build_artifact |= same.is_build_artifact;
        },
    )
}
