//! What is in the organization's repositories, for the tag pruner.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::Error;
use super::Quay;

/// What is asked for at once; Quay gives no more.
const TAGS: &str = "100";

/// Some repositories of the organization.
#[derive(Debug)]
pub(crate) struct RepositoryPage {
    /// Without the organization.
    pub(crate) names: Vec<String>,
    /// What asks for the next page; `None` at the end.
    pub(crate) next: Option<String>,
}

/// Some tags of a repository.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TagPage {
    #[serde(default)]
    pub(crate) tags: Vec<Tag>,
    #[serde(default, rename = "has_additional")]
    pub(crate) has_more: bool,
}

/// A tag, and what it names: `sha256:…`.
#[derive(Debug, Deserialize)]
pub(crate) struct Tag {
    pub(crate) name: String,
    #[serde(default, rename = "manifest_digest")]
    pub(crate) digest: String,
}

#[derive(Deserialize)]
struct RepositoriesAnswer {
    #[serde(default)]
    repositories: Vec<Named>,
    #[serde(default)]
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Quay {
    /// The page that `next` of the one before names, or the first.
    pub(crate) async fn repositories(&self, page: Option<&str>) -> Result<RepositoryPage, Error> {
        let step = format!("list repositories of {}", self.organization);
        let mut url = self.address(["repository"]);
        url.query_pairs_mut()
            .append_pair("namespace", &self.organization)
            .append_pair("last_modified", "true")
            .extend_pairs(page.map(|page| ("next_page", page)));
        let answer: RepositoriesAnswer = self.call(&step, Method::GET, url, None).await?.json()?;
        let names = answer.repositories.into_iter().map(|repository| repository.name).collect();
        Ok(RepositoryPage { names, next: answer.next_page.filter(|next| !next.is_empty()) })
    }

    /// The active tags of a page, the first of which is 1. None of a repository that is gone.
    pub(crate) async fn tags(&self, repository: &str, page: u32) -> Result<TagPage, Error> {
        self.find_tags(repository, &[("limit", TAGS), ("page", &page.to_string())]).await
    }

    /// What a tag names; `None` if there is no such tag.
    pub(crate) async fn tag(&self, repository: &str, tag: &str) -> Result<Option<Tag>, Error> {
        let page = self.find_tags(repository, &[("specificTag", tag)]).await?;
        Ok(page.tags.into_iter().find(|found| found.name == tag))
    }

    async fn find_tags(&self, repository: &str, which: &[(&str, &str)]) -> Result<TagPage, Error> {
        let step = self.step("list tags of repository", repository);
        let mut url = self.repository(&step, repository, &["tag", ""])?;
        url.query_pairs_mut().append_pair("onlyActiveTags", "true").extend_pairs(which);
        let answer = self.call(&step, Method::GET, url, None).await?;
        if answer.is_absent() { Ok(TagPage::default()) } else { answer.json() }
    }

    /// Whether the registry still has a manifest, with or without a tag.
    pub(crate) async fn has_manifest(&self, repository: &str, digest: &str) -> Result<bool, Error> {
        let step = self.step("look for an image of repository", repository);
        let url = self.repository(&step, repository, &["manifest", digest])?;
        let answer = self.call(&step, Method::GET, url, None).await?;
        if answer.is_absent() {
            return Ok(false);
        }
        answer.success()?;
        Ok(true)
    }

    /// Whether there was such a tag.
    pub(crate) async fn delete_tag(&self, repository: &str, tag: &str) -> Result<bool, Error> {
        let step = self.step(&format!("delete tag {tag} of repository"), repository);
        let url = self.repository(&step, repository, &["tag", tag])?;
        let answer = self.call(&step, Method::DELETE, url, None).await?;
        // Some versions answer 400 for what they do not find.
        if answer.is_absent() || answer.says(StatusCode::BAD_REQUEST, "could not find tag") {
            return Ok(false);
        }
        answer.success()?;
        Ok(true)
    }
}
