//! Which rules count (specification, section 4.6): by the items of a source's configuration, of which those count that
//! name a rule most exactly.
//!
//! ```text
//! config, volatileConfig ─▶ Selection ─ at(time, image) ─▶ Criteria ─ selects(code, terms, collections) ─▶ bool
//! ```

use std::collections::BTreeSet;

use enterprise_contract_api::policy::{PolicyConfiguration, Source, VolatileCriterion};
use jiff::Timestamp;
use registry::{Digest, Reference};

/// Names the package's every rule.
const ALL: &str = "*";
const COLLECTION: char = '@';

/// What items are compared with: a result, or a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `package.rule`; empty if the rule does not say.
    pub code: &'a str,
    /// What of several things a result is about.
    pub terms: Vec<&'a str>,
    pub collections: Vec<&'a str>,
}

impl Subject<'_> {
    /// All items that mean this, each with how exactly it does: a point for `*`, ten for a collection and for each part of
    /// a package's name, a hundred for a rule's name, and for a term.
    fn matchers(&self) -> Vec<(String, u32)> {
        let mut matchers = Vec::new();
        if let Some((package, rule)) = self.code.rsplit_once('.') {
            // A package within others is known by its own name, too.
            let own = package.rsplit_once('.').map(|(_, own)| own);
            for package in [Some(package), own].into_iter().flatten() {
                let points = 10 * u32::try_from(package.split('.').count()).unwrap_or(u32::MAX / 1000);
                matchers.push((package.to_owned(), points));
                matchers.push((format!("{package}.{ALL}"), points));
                matchers.push((format!("{package}.{rule}"), points + 100));
            }
            let with_terms: Vec<_> = self
                .terms
                .iter()
                .flat_map(|term| {
                    matchers.iter().map(move |(name, points)| (format!("{name}:{term}"), points + 100))
                })
                .collect();
            matchers.extend(with_terms);
        }
        matchers.push((ALL.to_owned(), 1));
        matchers.extend(self.collections.iter().map(|collection| (format!("{COLLECTION}{collection}"), 10)));
        matchers
    }
}

/// What a source's configuration selects, at any time and for any image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    include: Items,
    exclude: Items,
    /// Counts where the above say nothing.
    otherwise: Option<PolicyConfiguration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Items {
    lasting: Vec<String>,
    volatile: Vec<VolatileCriterion>,
}

impl Selection {
    /// `configuration` is the policy's own, deprecated one.
    pub fn new(source: &Source, configuration: Option<&PolicyConfiguration>) -> Self {
        let lasting = source.config.clone().unwrap_or_default();
        let volatile = source.volatile_config.clone().unwrap_or_default();
        Self {
            include: Items { lasting: lasting.include, volatile: volatile.include },
            exclude: Items { lasting: lasting.exclude, volatile: volatile.exclude },
            otherwise: configuration.cloned(),
        }
    }

    /// What counts at `time` for `image`, which has a digest. `None` for what is no image: nothing that is for some images
    /// counts there.
    pub fn at(&self, time: Timestamp, image: Option<&Reference>) -> Criteria {
        let mut warnings = Vec::new();
        // Where it cannot be read until when an item holds: a rule is rather included than not.
        let mut include = self.include.at(time, image, true, &mut warnings);
        let mut exclude = self.exclude.at(time, image, false, &mut warnings);
        if let Some(otherwise) = self.otherwise.as_ref().filter(|_| include.is_empty() && exclude.is_empty())
        {
            include.clone_from(&otherwise.include);
            include.extend(otherwise.collections.iter().map(|name| format!("{COLLECTION}{name}")));
            exclude.clone_from(&otherwise.exclude);
        }
        if include.is_empty() {
            include.push(ALL.to_owned());
        }
        Criteria { include, exclude, warnings }
    }
}

impl Items {
    fn at(
        &self,
        time: Timestamp,
        image: Option<&Reference>,
        if_unreadable: bool,
        warnings: &mut Vec<String>,
    ) -> Vec<String> {
        let volatile = self.volatile.iter().filter(|item| is_for(item, image)).filter(|item| {
            holds(item, time).unwrap_or_else(|reason| {
                let outcome = if if_unreadable { "counts" } else { "does not count" };
                warnings.push(format!("volatileConfig: {:?} {outcome}: {reason}", item.value));
                if_unreadable
            })
        });
        self.lasting.iter().cloned().chain(volatile.map(|item| item.value.clone())).collect()
    }
}

/// Whether an item is for this image. Who names both a digest and a repository means both.
fn is_for(item: &VolatileCriterion, image: Option<&Reference>) -> bool {
    let digests = [&item.image_digest, &item.image_ref];
    let is_digest = |wanted: &String| {
        let digest = image.and_then(Reference::digest).map(Digest::as_str);
        digest.is_some_and(|digest| digest.eq_ignore_ascii_case(wanted))
    };
    let is_repository = |wanted: &String| image.is_some_and(|image| image.name() == *wanted);
    digests.into_iter().flatten().all(is_digest) && item.image_url.iter().all(is_repository)
}

fn holds(item: &VolatileCriterion, time: Timestamp) -> Result<bool, String> {
    let bound = |name: &str, text: &Option<String>| {
        let parse = |text: &String| {
            text.parse::<Timestamp>()
                .map_err(|_| format!("{name} {text:?} is no time as 2024-03-01T12:00:00Z"))
        };
        text.as_ref().filter(|text| !text.is_empty()).map(parse).transpose()
    };
    let from = bound("effectiveOn", &item.effective_on)?;
    let until = bound("effectiveUntil", &item.effective_until)?;
    Ok(from.is_none_or(|from| from <= time) && until.is_none_or(|until| time <= until))
}

/// What counts for one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    include: Vec<String>,
    exclude: Vec<String>,
    /// What is wrong with the configuration.
    pub warnings: Vec<String>,
}

impl Criteria {
    /// Whether a rule, or a result, counts: included more exactly than excluded.
    pub fn selects(&self, subject: &Subject<'_>) -> bool {
        let matchers = subject.matchers();
        score(&self.include, &matchers) > score(&self.exclude, &matchers)
    }

    /// Items to include that mean none of these: misspelt, or of a rule that is not there any more.
    pub fn without_rule<'a>(&self, subjects: impl IntoIterator<Item = Subject<'a>>) -> Vec<&str> {
        let mut missing: BTreeSet<&str> =
            self.include.iter().map(String::as_str).filter(|item| *item != ALL).collect();
        for subject in subjects {
            if missing.is_empty() {
                break;
            }
            for (matcher, _) in subject.matchers() {
                missing.remove(matcher.as_str());
            }
        }
        missing.into_iter().collect()
    }
}

/// Of all items together, as the original counts them.
fn score(items: &[String], matchers: &[(String, u32)]) -> u32 {
    let of_item = |item: &String| {
        matchers
            .iter()
            .filter(|(matcher, _)| matcher == item)
            .map(|(_, points)| *points)
            .fold(0, u32::saturating_add)
    };
    items.iter().map(of_item).fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests;
