//! Asks registries what is new, each thing once.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use registry::{Client, Keychain, Reference};

use super::managers::Dependency;
use super::plan::{self, Known, Question};
use super::rules::Rules;
use crate::context::say;

/// Calls at once.
const AT_ONCE: usize = 8;
/// Pages of tags that are read.
const MAX_PAGES: usize = 20;

/// Registries, and what was asked of them before.
pub(crate) struct Lookup<'a> {
    pub(crate) client: &'a Client,
    pub(crate) keychain: &'a Keychain,
    /// Digests that are known, by `image:tag`: nobody is asked for them.
    pub(crate) given: BTreeMap<String, String>,
}

/// What registries answered, and whether to all that they were asked.
pub(crate) struct Answers {
    pub(crate) known: Known,
    pub(crate) are_complete: bool,
}

impl Lookup<'_> {
    /// What has to be known to update these references.
    pub(crate) async fn about(
        &self,
        dependencies: &[Dependency],
        rules: &Rules,
        base_branch: &str,
    ) -> Answers {
        let mut answers = Answers { known: Known::default(), are_complete: true };
        let treated: Vec<_> =
            dependencies.iter().map(|one| (one, rules.of(one, base_branch, None))).collect();
        let questions = treated.iter().filter_map(|(one, treatment)| plan::question(one, treatment));
        self.ask(questions.collect(), &mut answers).await;
        // Only now is it known which tags are newer.
        let known = answers.known.clone();
        let further = treated.iter().flat_map(|(one, treatment)| {
            let tags = match plan::question(one, treatment) {
                Some(Question::Tags(_)) => plan::digests_of_tags(one, treatment, &known),
                _ => Vec::new(),
            };
            tags.into_iter().map(|tag| Question::Digest(one.name.clone(), tag))
        });
        self.ask(further.collect(), &mut answers).await;
        answers
    }

    async fn ask(&self, questions: BTreeSet<Question>, answers: &mut Answers) {
        let asked = questions.into_iter().map(|question| async move {
            let answer = match &question {
                Question::Digest(image, tag) => self.digest(image, tag).await.map(|digest| vec![digest]),
                Question::Tags(image) => self.tags(image).await,
            };
            (question, answer)
        });
        let answered: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for (question, answer) in answered {
            match (question, answer) {
                (Question::Digest(image, tag), Ok(digest)) => {
                    answers
                        .known
                        .digests
                        .extend(digest.into_iter().map(|digest| ((image.clone(), tag.clone()), digest)));
                }
                (Question::Tags(image), Ok(tags)) => {
                    answers.known.tags.insert(image, tags);
                }
                (Question::Digest(image, _) | Question::Tags(image), Err(error)) => {
                    answers.are_complete = false;
                    say(&format!("{image} is left as it is: {error:#}"));
                }
            }
        }
    }

    async fn digest(&self, image: &str, tag: &str) -> anyhow::Result<String> {
        let name = format!("{image}:{tag}");
        if let Some(digest) = self.given.get(&name) {
            return Ok(digest.clone());
        }
        let reference: Reference = name.parse()?;
        Ok(self.client.manifest(&reference, self.keychain).await?.digest.to_string())
    }

    async fn tags(&self, image: &str) -> anyhow::Result<Vec<String>> {
        let repository: Reference = image.parse()?;
        let (mut names, mut after) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self.client.tags(&repository, after.as_deref(), self.keychain).await?;
            names.extend(page.names);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(names)
    }
}
