//! Releases at a forge: a tag with a name and notes, as people find them beside the code.

use fleet::outbound::{self, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::contents::{Access, Commit, Contents, Provider, Repository};
use crate::error::Error;
use crate::gitea::Gitea;
use crate::github::GitHub;
use crate::gitlab::GitLab;
use crate::http_api::Api;

/// In the notes of releases that are ours: those of people are left alone.
const MARK: &str = "<!-- konflux release -->";
/// Of a release or tag that came to be since we looked.
const RACES: [&str; 3] = ["already_exists", "already exists", "is has no Tag"];

/// Makes releases with one credential.
pub trait Releases: Contents {
    /// Has a release with this tag: makes it, or gives one that was made so before these words. Whoever else made one keeps it.
    fn ensure_release<'a>(
        &'a self,
        repository: &'a Repository,
        release: &'a NewRelease,
    ) -> BoxFuture<'a, Result<Recorded, Error>>;
}

/// A release to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelease {
    /// Made where [`target`](Self::target) says if it is not there.
    pub tag: String,
    /// Absent means the default branch.
    pub target: Option<Commit>,
    pub name: String,
    /// Markdown.
    pub notes: String,
}

/// A release that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where people see it.
    pub url: String,
    pub how: RecordedHow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum RecordedHow {
    Created,
    Updated,
    /// It says the same already.
    Unchanged,
    /// Somebody else made it.
    Foreign,
}

/// As [`connect`](crate::connect), for releases. Bitbucket has none.
pub fn release(
    provider: Provider,
    server: &Url,
    access: Access<'_>,
    outbound: &outbound::Client,
) -> Result<Box<dyn Releases>, Error> {
    let token = access.token;
    Ok(match provider {
        Provider::GitHub => Box::new(GitHub::new(server, token, access.is_app, outbound)?),
        Provider::GitLab => Box::new(GitLab::new(server, token, outbound)?),
        Provider::Gitea => Box::new(Gitea::new(server, token, outbound)?),
        Provider::BitbucketCloud | Provider::BitbucketServer => {
            return Err(Error::invalid(server, format!("forges of type {provider} have no releases")));
        }
    })
}

impl NewRelease {
    /// The notes with our mark.
    fn body(&self) -> String {
        format!("{}\n\n{MARK}\n", self.notes.trim_end())
    }

    fn what(&self, repository: &Repository) -> String {
        format!("release {:?} of {repository}", self.tag)
    }

    /// What becomes of a release that is there.
    fn compare(&self, name: Option<&str>, body: Option<&str>) -> RecordedHow {
        // Some forges trim what they are given, or write line ends as HTTP has them.
        let plain = |text: &str| text.replace('\r', "").trim().to_owned();
        let (name, body) = (name.unwrap_or_default(), plain(body.unwrap_or_default()));
        if !body.contains(MARK) {
            RecordedHow::Foreign
        } else if name == self.name && body == plain(&self.body()) {
            RecordedHow::Unchanged
        } else {
            RecordedHow::Updated
        }
    }
}

/// As GitHub and Gitea have it.
#[derive(Deserialize)]
struct HubRelease {
    id: u64,
    html_url: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    body: Option<String>,
}

/// GitHub's API, which Gitea has taken over.
async fn ensure_at_hub(api: &Api, repository: &Repository, new: &NewRelease) -> Result<Recorded, Error> {
    let what = new.what(repository);
    let releases = ["repos", repository.owner(), repository.name(), "releases"];
    let by_tag = [&releases[..], &["tags", &new.tag]].concat();
    let Some(known) = api.find::<HubRelease>(&what, &by_tag).await? else {
        let mut body = json!({ "tag_name": new.tag, "name": new.name, "body": new.body(), "draft": false });
        if let Some(target) = &new.target {
            body["target_commitish"] = json!(target.as_str());
        }
        let made = api.create::<HubRelease>(&what, &releases, &body).await;
        let made = made.map_err(|error| error.or_conflict(&RACES))?;
        return Ok(Recorded { url: made.html_url, how: RecordedHow::Created });
    };
    let how = new.compare(known.name.as_deref(), known.body.as_deref());
    if how == RecordedHow::Updated {
        let id = known.id.to_string();
        let body = json!({ "name": new.name, "body": new.body() });
        api.tell(Method::PATCH, &what, &[&releases[..], &[&id]].concat(), &body).await?;
    }
    Ok(Recorded { url: known.html_url, how })
}

impl Releases for GitHub {
    fn ensure_release<'a>(
        &'a self,
        repository: &'a Repository,
        release: &'a NewRelease,
    ) -> BoxFuture<'a, Result<Recorded, Error>> {
        ensure_at_hub(self.api(), repository, release).boxed()
    }
}

impl Releases for Gitea {
    fn ensure_release<'a>(
        &'a self,
        repository: &'a Repository,
        release: &'a NewRelease,
    ) -> BoxFuture<'a, Result<Recorded, Error>> {
        ensure_at_hub(self.api(), repository, release).boxed()
    }
}

#[derive(Deserialize)]
struct LabRelease {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "_links")]
    links: Value,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    default_branch: Option<String>,
}

impl GitLab {
    async fn ensure(&self, repository: &Repository, new: &NewRelease) -> Result<Recorded, Error> {
        let (api, what, project) = (self.api(), new.what(repository), repository.to_string());
        let url = |release: &LabRelease| release.links["self"].as_str().unwrap_or_default().to_owned();
        let one = ["projects", &project, "releases", &new.tag];
        let Some(known) = api.find::<LabRelease>(&what, &one).await? else {
            // GitLab wants to be told where a tag is to be made, and takes no notice where there is one.
            let at = match &new.target {
                Some(target) => target.as_str().to_owned(),
                None => api
                    .read::<Project>(&what, &["projects", &project], &[])
                    .await?
                    .default_branch
                    .unwrap_or_default(),
            };
            let body = json!({ "tag_name": new.tag, "ref": at, "name": new.name, "description": new.body() });
            let made = api.create::<LabRelease>(&what, &["projects", &project, "releases"], &body).await;
            let made = made.map_err(|error| error.or_conflict(&RACES))?;
            return Ok(Recorded { url: url(&made), how: RecordedHow::Created });
        };
        let how = new.compare(known.name.as_deref(), known.description.as_deref());
        if how == RecordedHow::Updated {
            let body = json!({ "name": new.name, "description": new.body() });
            api.tell(Method::PUT, &what, &one, &body).await?;
        }
        Ok(Recorded { url: url(&known), how })
    }
}

impl Releases for GitLab {
    fn ensure_release<'a>(
        &'a self,
        repository: &'a Repository,
        release: &'a NewRelease,
    ) -> BoxFuture<'a, Result<Recorded, Error>> {
        self.ensure(repository, release).boxed()
    }
}
