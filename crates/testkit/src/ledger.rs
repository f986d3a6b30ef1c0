//! Who asked the API for what: the audit log of the API server, read as a ledger.
//!
//! ```text
//! let mark = ledger.mark().await?;
//! // … the service under test does its work …
//! let calls = ledger.since(&mark).await?.by(&user);
//! assert_eq!((calls.writes(), calls.reads()), (2, 0), "{calls}");
//! ```
//! The log has requests of people and `ServiceAccounts`; those of the cluster's own parts are left out. A watch is
//! one call, logged when it begins.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::{Client, Config};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::control_plane::random_suffix;

/// What the ledger itself asks for, to find it in the log.
const MARKER: &str = "/version?konflux-testkit-marker=";
/// How long the log may lag behind an answered request.
const LAG: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// The audit log of an API server.
#[derive(Clone, Debug)]
pub struct Ledger {
    log: PathBuf,
    config: Config,
}

/// A moment: all calls answered before are on one side, all made afterwards on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Ledger {
    pub(crate) fn new(log: PathBuf, config: Config) -> Self {
        Self { log, config }
    }

    /// Marks this moment.
    pub async fn mark(&self) -> anyhow::Result<Mark> {
        let start = std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let (_, end) = self.read_to_marker(start).await?;
        Ok(Mark(end))
    }

    /// All calls that were answered since then, complete: a marker request is awaited in the log first.
    pub async fn since(&self, mark: &Mark) -> anyhow::Result<Calls> {
        let (text, _) = self.read_to_marker(mark.0).await?;
        parse(&text).with_context(|| format!("read {}", self.log.display()))
    }

    /// All calls since the API server started.
    pub async fn everything(&self) -> anyhow::Result<Calls> {
        self.since(&Mark(0)).await
    }

    /// What the log has from `start` to the marker that is set now, and the offset behind the marker.
    async fn read_to_marker(&self, start: u64) -> anyhow::Result<(String, u64)> {
        let marker = format!("{MARKER}{}", random_suffix());
        let client = Client::try_from(self.config.clone())?;
        let request = http::Request::get(&marker).body(Vec::new())?;
        client.request_text(request).await.context("ask the API server for something to find in its log")?;
        let until = Instant::now() + LAG;
        let mut text = Vec::new();
        loop {
            let mut log = File::open(&self.log).with_context(|| format!("open {}", self.log.display()))?;
            log.seek(SeekFrom::Start(start + text.len() as u64))?;
            let scanned = text.len().saturating_sub(marker.len());
            log.read_to_end(&mut text)?;
            if let Some(at) = find(&text[scanned..], marker.as_bytes())
                && let Some(line_end) = find(&text[scanned + at..], b"\n")
            {
                text.truncate(scanned + at + line_end + 1);
                let end = start + text.len() as u64;
                return Ok((String::from_utf8(text)?, end));
            }
            if Instant::now() > until {
                bail!("{} does not show a request {LAG:?} after its answer", self.log.display());
            }
            sleep(POLL).await;
        }
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

/// One request to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When the API server received it.
    pub at: Timestamp,
    /// `system:serviceaccount:<namespace>:<name>` or a person's name.
    pub user: String,
    pub user_agent: String,
    /// As RBAC spells it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// What it was about; absent for paths such as `/version`.
    pub target: Option<Target>,
    /// Path and query.
    pub uri: String,
    /// HTTP status of the answer.
    pub code: u16,
}

/// The object or collection that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// Plural: `configmaps`.
    pub resource: String,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    /// Absent for collections, and for objects whose name the server makes.
    pub name: Option<String>,
}

impl Target {
    /// As it stands in a rule: `pods`, `pods/log`.
    pub fn rbac_resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        }
    }
}

impl Call {
    /// Whether it was to change what is stored. Dry runs and reviews (of tokens, of access) are not.
    pub fn is_write(&self) -> bool {
        let is_review = self.target.as_ref().is_some_and(|target| {
            matches!(target.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
        });
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
            && !is_review
            && !self.uri.contains("dryRun=All")
    }

    /// Whether it read objects: a get, a list or a watch.
    pub fn is_read(&self) -> bool {
        self.target.is_some() && matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The field manager that a write named.
    pub fn field_manager(&self) -> Option<&str> {
        let (_, query) = self.uri.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="))
    }

    fn is_about(&self, resource: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.resource == resource)
    }
}

impl fmt::Display for Call {
    /// `201 create configmaps team-a/settings by system:serviceaccount:…`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.code, self.verb)?;
        match &self.target {
            Some(target) => {
                write!(f, "{}", target.rbac_resource())?;
                if !target.group.is_empty() {
                    write!(f, ".{}", target.group)?;
                }
                f.write_str(" ")?;
                if let Some(namespace) = &target.namespace {
                    write!(f, "{namespace}/")?;
                }
                f.write_str(target.name.as_deref().unwrap_or("*"))?;
            }
            None => f.write_str(&self.uri)?,
        }
        write!(f, " by {}", self.user)
    }
}

/// Calls in the order in which they were answered. Displayed one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(Vec<Call>);

impl Calls {
    pub fn iter(&self) -> std::slice::Iter<'_, Call> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Call) -> bool) -> Self {
        Self(self.0.iter().filter(|call| keep(call)).cloned().collect())
    }

    /// Those of one user, see [`crate::user_name`].
    #[must_use]
    pub fn by(&self, user: &str) -> Self {
        self.filter(|call| call.user == user)
    }

    /// Those about a resource (plural, without group) or its subresources.
    #[must_use]
    pub fn about(&self, resource: &str) -> Self {
        self.filter(|call| call.is_about(resource))
    }

    /// Those not about a resource: leases, when a service's idle writes do not matter.
    #[must_use]
    pub fn except(&self, resource: &str) -> Self {
        self.filter(|call| !call.is_about(resource))
    }

    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        let in_it = |target: &Target| target.namespace.as_deref() == Some(namespace);
        self.filter(|call| call.target.as_ref().is_some_and(in_it))
    }

    /// How many were to change what is stored, whether they succeeded or not.
    pub fn writes(&self) -> usize {
        self.0.iter().filter(|call| call.is_write()).count()
    }

    /// How many read objects.
    pub fn reads(&self) -> usize {
        self.0.iter().filter(|call| call.is_read()).count()
    }

    pub fn users(&self) -> BTreeSet<&str> {
        self.0.iter().map(|call| call.user.as_str()).collect()
    }
}

impl FromIterator<Call> for Calls {
    fn from_iter<I: IntoIterator<Item = Call>>(calls: I) -> Self {
        Self(calls.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Calls {
    type Item = &'a Call;
    type IntoIter = std::slice::Iter<'a, Call>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|call| writeln!(f, "{call}"))
    }
}

/// A line of the log: `audit.k8s.io/v1` Event, level Metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    request_received_timestamp: Timestamp,
    #[serde(rename = "requestURI")]
    uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    #[serde(default)]
    api_group: String,
    resource: String,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

fn parse(text: &str) -> anyhow::Result<Calls> {
    let mut calls = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("not an audit event: {line}"))?;
        if !line.uri.starts_with(MARKER) {
            calls.push(line.into());
        }
    }
    Ok(Calls(calls))
}

impl From<Line> for Call {
    fn from(line: Line) -> Self {
        Self {
            at: line.request_received_timestamp,
            user: line.user.username,
            user_agent: line.user_agent,
            verb: line.verb,
            target: line.object_ref.map(|object| Target {
                group: object.api_group,
                resource: object.resource,
                subresource: object.subresource,
                namespace: object.namespace,
                name: object.name,
            }),
            uri: line.uri,
            code: line.response_status.map_or(0, |status| status.code),
        }
    }
}
