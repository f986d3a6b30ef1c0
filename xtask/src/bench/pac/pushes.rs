//! Pushes to the teams' repositories, one after another in turn, and what GitHub says of them.
use testkit::forge::{Delivery, GitHub, NO_COMMIT, github::event};

use super::{
    setup::{PUSHER, WEBHOOK_SECRET},
    teams::{TEAMS, full_name},
};

const BRANCH: &str = "main";

/// A commit, and the webhook that tells of it.
pub(super) struct Push {
    pub(super) commit: String,
    pub(super) delivery: Delivery,
}

/// Pushes that were not made before.
pub(super) struct Pushes<'a> {
    github: &'a GitHub,
    made: usize,
}

impl<'a> Pushes<'a> {
    pub(super) fn new(github: &'a GitHub) -> Self {
        Self { github, made: 0 }
    }

    pub(super) fn take(&mut self, count: usize) -> anyhow::Result<Vec<Push>> {
        (0..count).map(|_| self.next()).collect()
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Push> {
        self.made += 1;
        self.to(&full_name(self.made % TEAMS))
    }

    /// Webhooks of a repository that is none of ours.
    pub(super) fn foreign(&mut self, count: usize) -> anyhow::Result<Vec<Delivery>> {
        const REPOSITORY: &str = "elsewhere/app";
        self.github.edit(|model| model.repository(REPOSITORY).map(drop))?;
        self.made += 1;
        let event = self.event(REPOSITORY)?.1;
        Ok((0..count).map(|_| event.replayed().signed("of somebody else")).collect())
    }

    fn to(&self, full_name: &str) -> anyhow::Result<Push> {
        let (commit, event) = self.event(full_name)?;
        Ok(Push { commit, delivery: event.signed(WEBHOOK_SECRET) })
    }

    fn event(&self, full_name: &str) -> anyhow::Result<(String, event::Event)> {
        self.github.edit(|model| {
            let before =
                model.repo(full_name)?.head(BRANCH).map_or_else(|| NO_COMMIT.to_owned(), str::to_owned);
            // The number makes it another commit than those of other repositories in the same second.
            let content = format!("Change {}\n", self.made);
            let after =
                model.commit(full_name, BRANCH, &content, &[("README.md", Some(content.as_bytes()))])?;
            let reference = format!("refs/heads/{BRANCH}");
            let event = event::push(model, full_name, &reference, &before, &after, PUSHER)?;
            Ok((after, event))
        })
    }
}
