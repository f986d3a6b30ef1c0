//! What the variables of tags stand for, for one image.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use registry::{Document, Manifest, Reference};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::template::Facts;
use crate::context::Context;

const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;
/// Label of an image: when it was built.
const BUILD_DATE: &str = "build-date";

/// Times of the release itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moments {
    /// When it began: the same each time that a step is run again.
    pub(crate) release: Timestamp,
}

impl Moments {
    /// Of a Release as the API server has it, or now.
    pub(crate) fn new(release: &Value, now: Timestamp) -> Self {
        let times = [&release["status"]["startTime"], &release["metadata"]["creationTimestamp"]];
        let began = times.into_iter().find_map(|time| time.as_str()?.parse().ok());
        Self { release: began.unwrap_or(now) }
    }
}

/// A moment as `strftime(3)` writes it, in UTC.
pub(crate) fn formatted(format: &str, at: Timestamp) -> anyhow::Result<String> {
    let written = jiff::fmt::strtime::format(format, &at.to_zoned(jiff::tz::TimeZone::UTC));
    written.with_context(|| format!("timestampFormat {format:?}: expected what strftime(3) knows"))
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    config: Option<Inner>,
}

#[derive(Default, Deserialize)]
struct Inner {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

pub(super) async fn of(
    image: &Reference,
    component: &Map<String, Value>,
    format: &str,
    needs_image: bool,
    moments: &Moments,
    context: &Context,
) -> anyhow::Result<Facts> {
    let config = if needs_image { config(image, context).await? } else { Config::default() };
    let labels = config.config.unwrap_or_default().labels.unwrap_or_default();
    let built =
        labels.get(BUILD_DATE).and_then(|date| moment(date)).or_else(|| moment(config.created.as_deref()?));
    let commit = component.get("source").map(|source| &source["git"]["revision"]).and_then(Value::as_str);
    Ok(Facts {
        timestamp: built.map(|built| formatted(format, built)).transpose()?,
        release_timestamp: formatted(format, moments.release)?,
        git_sha: commit.map(str::to_owned),
        digest_sha: image.digest().map(|digest| digest.hex().to_owned()).unwrap_or_default(),
        labels,
    })
}

/// RFC 3339, or seconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| Timestamp::from_second(text.parse().ok()?).ok())
}

/// The configuration of an image, or of the first one of an index: all of one build have the same labels.
async fn config(image: &Reference, context: &Context) -> anyhow::Result<Config> {
    let (client, keychain) = (&context.registry, &context.keychain);
    let mut manifest: Manifest = client.manifest(image, keychain).await?;
    if let Document::Index(children) = manifest.document()? {
        let first = children
            .into_iter()
            .find(|child| child.platform.as_ref().is_none_or(|platform| platform.architecture != "unknown"));
        let first = first.with_context(|| format!("{image}: an index without an image"))?;
        manifest = client.manifest(&image.at(first.digest), keychain).await?;
    }
    let Document::Image(found) = manifest.document()? else {
        bail!("{image}: an index within an index is not supported");
    };
    let bytes = client.blob(&manifest.reference, &found.config.digest, CONFIG_LIMIT, keychain).await?;
    serde_json::from_slice(&bytes).with_context(|| format!("{image}: its configuration cannot be read"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::rfc("2024-03-01T00:00:00Z", Some(1_709_251_200))]
    #[case::with_offset("2024-03-01T01:00:00+01:00", Some(1_709_251_200))]
    #[case::seconds("1709251200", Some(1_709_251_200))]
    #[case::no_time("yesterday", None)]
    fn build_dates(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(moment(text).map(Timestamp::as_second), expected);
    }

    #[test]
    fn a_release_began_when_it_says_else_when_it_was_made() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2024-03-03T00:00:00Z");
        let mut release = json!({"metadata": {"creationTimestamp": "2024-03-01T00:00:00Z"}});
        assert_eq!(Moments::new(&release, now).release, at("2024-03-01T00:00:00Z"));
        release["status"] = json!({"startTime": "2024-03-02T00:00:00Z"});
        assert_eq!(Moments::new(&release, now).release, at("2024-03-02T00:00:00Z"));
        assert_eq!(Moments::new(&Value::Null, now).release, now);
    }

    #[test]
    fn formats_are_those_of_strftime() {
        let at = "2024-03-01T02:03:04Z".parse().unwrap();
        assert_eq!(formatted("%s", at).unwrap(), "1709258584");
        assert_eq!(formatted("%Y-%m-%dT%H-%M-%SZ", at).unwrap(), "2024-03-01T02-03-04Z");
        formatted("%!", at).unwrap_err();
    }
}
