//! Decides what is proposed: a branch for each group of updates, with the files as they should be.

use std::collections::BTreeMap;
use std::ops::Range;

use super::config::ProposalSettings;
use super::managers::Dependency;
use super::rules::{Rules, Treatment};
use super::versions::{self, UpdateType};

/// Branches begin with this where the settings do not say.
const BRANCH_PREFIX: &str = "konflux/";

/// What a registry answered about the references.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Digests by image and tag.
    pub(crate) digests: BTreeMap<(String, String), String>,
    /// Tags of images, of which one may be newer.
    pub(crate) tags: BTreeMap<String, Vec<String>>,
}

/// A file of the base branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) is_executable: bool,
}

/// A pull request to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) branch: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) labels: Vec<String>,
    /// A request with this label is left as it is.
    pub(crate) stop_label: Option<String>,
    pub(crate) files: Vec<TextFile>,
}

/// One reference, and what takes its place.
#[derive(Clone, Debug, PartialEq)]
struct Update<'a> {
    dependency: &'a Dependency,
    type_: UpdateType,
    tag: Option<String>,
    digest: Option<String>,
    proposal: ProposalSettings,
}

/// What is to be looked up of a reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// The digest of an image's tag.
    Digest(String, String),
    /// All tags of an image.
    Tags(String),
}

/// What has to be known of a reference before it can be updated.
pub(crate) fn question(dependency: &Dependency, treatment: &Treatment) -> Option<Question> {
    if !treatment.is_enabled {
        return None;
    }
    if let Some(tag) = &treatment.follow_tag {
        return Some(Question::Digest(dependency.name.clone(), tag.clone()));
    }
    let tag = dependency.tag.as_ref()?;
    if dependency.places.tag.is_some() && versions::is_version(tag) {
        return Some(Question::Tags(dependency.name.clone()));
    }
    has_digest_place(dependency, treatment).then(|| Question::Digest(dependency.name.clone(), tag.clone()))
}

/// The tags whose digests have to be known, beside that of [`question`], once the tags of all images are.
pub(crate) fn digests_of_tags(dependency: &Dependency, treatment: &Treatment, known: &Known) -> Vec<String> {
    if !treatment.is_enabled || treatment.follow_tag.is_some() || !has_digest_place(dependency, treatment) {
        return Vec::new();
    }
    let Some(tag) = &dependency.tag else { return Vec::new() };
    let tags = known.tags.get(&dependency.name).map(Vec::as_slice).unwrap_or_default();
    let newer = versions::newer(tag, tags.iter().map(String::as_str));
    newer.into_iter().map(|(_, tag)| tag.to_owned()).chain([tag.clone()]).collect()
}

/// Whether a digest stands there, or may be put there.
fn has_digest_place(dependency: &Dependency, treatment: &Treatment) -> bool {
    let may_pin = treatment.proposal.pin_digests == Some(true) && dependency.places.end.is_some();
    dependency.places.digest.is_some() || may_pin
}

/// All proposals for one branch of a repository, in the order of their branches.
pub(crate) fn plan(
    files: &[TextFile],
    dependencies: &[Dependency],
    rules: &Rules,
    known: &Known,
    base_branch: &str,
    is_time: impl Fn(&ProposalSettings) -> bool,
) -> Vec<Proposal> {
    let mut groups: BTreeMap<String, Vec<Update<'_>>> = BTreeMap::new();
    for dependency in dependencies {
        for update in updates(dependency, rules, known, base_branch) {
            if is_time(&update.proposal) {
                groups.entry(branch_of(&update, base_branch)).or_default().push(update);
            }
        }
    }
    groups.into_iter().map(|(branch, updates)| proposal(branch, &updates, files, base_branch)).collect()
}

/// Branches that the settings name, whether or not there is anything to propose.
pub(crate) fn named_branches(rules: &Rules, base_branch: &str) -> Vec<String> {
    let mut names: Vec<String> = rules
        .named_branches()
        .filter_map(|proposal| Some(filled(proposal.branch_name.as_deref()?, base_branch, "")))
        // A name with something of an update in it is not known beforehand.
        .filter(|name| !name.contains("{{"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn updates<'a>(
    dependency: &'a Dependency,
    rules: &Rules,
    known: &Known,
    base_branch: &str,
) -> Vec<Update<'a>> {
    let treatment = rules.of(dependency, base_branch, None);
    if !treatment.is_enabled {
        return Vec::new();
    }
    let digest_of = |tag: &str| known.digests.get(&(dependency.name.clone(), tag.to_owned())).cloned();
    let (places, current) = (&dependency.places, dependency.tag.as_deref());
    let mut candidates: Vec<(UpdateType, Option<&str>, Option<String>)> = Vec::new();
    if let Some(tag) = &treatment.follow_tag {
        candidates.push((UpdateType::Digest, None, digest_of(tag)));
    } else if let Some(tag) = current {
        let tags = known.tags.get(&dependency.name).map(Vec::as_slice).unwrap_or_default();
        let newer = if places.tag.is_some() {
            versions::newer(tag, tags.iter().map(String::as_str))
        } else {
            Vec::new()
        };
        if newer.iter().all(|(type_, _)| *type_ == UpdateType::Major) {
            candidates.push((UpdateType::Digest, None, digest_of(tag)));
        }
        candidates.extend(newer.into_iter().map(|(type_, tag)| (type_, Some(tag), digest_of(tag))));
    }
    let mut found = Vec::new();
    for (type_, tag, digest) in candidates {
        let treatment = rules.of(dependency, base_branch, Some(type_));
        let may_put = has_digest_place(dependency, &treatment);
        let digest = digest.filter(|digest| may_put && dependency.digest.as_ref() != Some(digest));
        // A new tag beside the old digest would mean the old image.
        let is_whole = places.digest.is_none() || digest.is_some();
        if treatment.is_enabled && is_whole && (tag.is_some() || digest.is_some()) {
            let (tag, proposal) = (tag.map(str::to_owned), treatment.proposal);
            found.push(Update { dependency, type_, tag, digest, proposal });
        }
    }
    found
}

fn branch_of(update: &Update<'_>, base_branch: &str) -> String {
    let proposal = &update.proposal;
    let topic = proposal.branch_topic.clone().unwrap_or_else(|| {
        let name =
            slug(proposal.group_name.as_deref().unwrap_or_else(|| short_name(&update.dependency.name)));
        match (&update.type_, update.tag.as_deref().and_then(versions::major)) {
            // So that a big step does not hold the small ones up.
            (UpdateType::Major, Some(major)) => format!("{name}-{major}.x"),
            _ => name,
        }
    });
    let slug = slug(proposal.group_name.as_deref().unwrap_or(&topic));
    if let Some(name) = &proposal.branch_name {
        return filled(name, base_branch, &slug);
    }
    let prefix = proposal.branch_prefix.as_deref().unwrap_or(BRANCH_PREFIX);
    let further = proposal.additional_branch_prefix.as_deref().unwrap_or_default();
    filled(&format!("{prefix}{further}{topic}"), base_branch, &slug)
}

/// Puts values into a template of Renovate's, as far as they are known here.
fn filled(template: &str, base_branch: &str, group: &str) -> String {
    let mut text = template.to_owned();
    for (name, value) in [("baseBranch", base_branch), ("groupSlug", group), ("groupName", group)] {
        if !value.is_empty() {
            text = text
                .replace(&format!("{{{{{{{name}}}}}}}"), value)
                .replace(&format!("{{{{{name}}}}}"), value);
        }
    }
    text
}

/// What may stand in the name of a branch.
fn slug(text: &str) -> String {
    let plain = text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").trim_matches('.').to_owned()
}

fn short_name(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}

fn proposal(branch: String, updates: &[Update<'_>], files: &[TextFile], base_branch: &str) -> Proposal {
    let mut changed = Vec::new();
    for file in files {
        let edits = updates.iter().filter(|update| update.dependency.file == file.path).flat_map(edits);
        let text = edited(&file.text, edits.collect());
        if text != file.text {
            changed.push(TextFile { text, ..file.clone() });
        }
    }
    let settings = updates.first().map(|update| update.proposal.clone()).unwrap_or_default();
    let mut labels = settings.labels.clone().unwrap_or_default();
    labels.dedup();
    Proposal {
        title: title(updates, &settings, base_branch),
        body: body(updates, &settings, base_branch),
        branch,
        labels,
        stop_label: settings.stop_updating_label,
        files: changed,
    }
}

/// Places in the text of a file, and what is written there instead.
fn edits(update: &Update<'_>) -> Vec<(Range<usize>, String)> {
    let places = &update.dependency.places;
    let mut edits = Vec::new();
    if let (Some(place), Some(tag)) = (&places.tag, &update.tag) {
        edits.push((place.clone(), tag.clone()));
    }
    match (&places.digest, places.end, &update.digest) {
        (Some(place), _, Some(digest)) => edits.push((place.clone(), digest.clone())),
        (None, Some(end), Some(digest)) => edits.push((end..end, format!("@{digest}"))),
        _ => {}
    }
    edits
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    // From the end, so that places before it stay where they are.
    edits.sort_by_key(|(place, _)| std::cmp::Reverse((place.start, place.end)));
    let mut text = text.to_owned();
    let mut free = text.len();
    for (place, new) in edits {
        if place.end <= free && text.get(place.clone()).is_some() {
            free = place.start;
            text.replace_range(place, &new);
        }
    }
    text
}

fn title(updates: &[Update<'_>], settings: &ProposalSettings, base_branch: &str) -> String {
    let first = updates.first();
    let topic = settings
        .commit_message_topic
        .clone()
        .or_else(|| settings.group_name.clone())
        .or_else(|| first.map(|update| update.dependency.name.clone()))
        .unwrap_or_default();
    let topic = filled(&topic, base_branch, &slug(settings.group_name.as_deref().unwrap_or(&topic)));
    let target = |update: &Update<'_>| {
        let digest = update.digest.as_deref().map(short_digest);
        update.tag.clone().or(digest).unwrap_or_default()
    };
    let mut targets: Vec<String> = updates.iter().map(target).collect();
    targets.dedup();
    let target = match &targets[..] {
        [target] => format!(" to {target}"),
        _ => String::new(),
    };
    let prefix = match (&settings.commit_message_prefix, settings.semantic_commits.as_deref()) {
        (Some(prefix), _) => format!("{} ", prefix.trim_end()),
        (None, Some("enabled")) => "chore(deps): ".to_owned(),
        (None, _) => String::new(),
    };
    // After a prefix a sentence does not begin.
    let verb = if prefix.is_empty() { "Update" } else { "update" };
    let suffix = settings.commit_message_suffix.as_deref().map(str::trim).filter(|suffix| !suffix.is_empty());
    let suffix = suffix.map(|suffix| format!(" {suffix}")).unwrap_or_default();
    format!("{prefix}{verb} {topic}{target}{suffix}")
}

fn body(updates: &[Update<'_>], settings: &ProposalSettings, base_branch: &str) -> String {
    let mut text = String::new();
    if let Some(header) = &settings.pr_header {
        text.extend([filled(header, base_branch, ""), "\n\n".to_owned()]);
    }
    text.push_str("This proposes newer images:\n\n| Image | File | From | To |\n|---|---|---|---|\n");
    let shown = |tag: Option<&str>, digest: Option<&str>| {
        let parts = [tag.map(str::to_owned), digest.map(short_digest)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join("@")
    };
    let mut rows: Vec<String> = updates
        .iter()
        .map(|update| {
            let dependency = update.dependency;
            let from = shown(dependency.tag.as_deref(), dependency.digest.as_deref());
            let from = if dependency.places.tag.is_none() {
                shown(None, dependency.digest.as_deref())
            } else {
                from
            };
            let to = shown(update.tag.as_deref(), update.digest.as_deref());
            format!("| {} | {} | {from} | {to} |\n", code(&dependency.name), code(&dependency.file))
        })
        .collect();
    rows.dedup();
    text.extend(rows);
    if let Some(footer) = &settings.pr_footer {
        text.extend(["\n---\n\n".to_owned(), filled(footer, base_branch, ""), "\n".to_owned()]);
    }
    text
}

/// As Markdown shows it unchanged in a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace(['`', '|', '\n', '\r'], " "))
}

fn short_digest(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(7).collect()
}

#[cfg(test)]
mod tests;
