//! `trusted-tasks.yaml`: which bundles of tasks were pushed, as policies read it to know what to trust (`trusted_tasks` of the
//! data for Enterprise Contract).
//!
//! ```yaml
//! trusted_tasks:
//!   oci://registry.example/konflux/task-init:0.2:
//!   - ref: sha256:…                          # the newest first
//!     effective_on: "2026-01-02T03:04:05Z"
//!   - ref: sha256:…
//!     effective_on: "2025-12-02T03:04:05Z"
//!     expires_on: "2026-02-01T03:04:05Z"     # what was pushed before is trusted for a month more
//! ```
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use anyhow::Context as _;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Beside the record of images.
pub const FILE: &str = "trusted-tasks.yaml";

/// How long runs may go on with a bundle that a newer one has replaced.
const GRACE: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedTasks {
    /// By `oci://` and repository with the tag that moves.
    pub trusted_tasks: BTreeMap<String, Vec<Entry>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Digest of the bundle.
    #[serde(rename = "ref")]
    pub digest: String,
    /// From when on it is what users should have.
    pub effective_on: String,
    /// Until when it is trusted. Absent: until something newer comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
}

impl TrustedTasks {
    /// Nothing if there is no such file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        serde_saphyr::from_str(&text).with_context(|| {
            format!(
                "{} is damaged: remove it, and only what is pushed from now on is trusted",
                file.display()
            )
        })
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, serde_saphyr::to_string(self)?).with_context(|| format!("write {}", file.display()))
    }

    /// Adds what was pushed `now`: tagged repository and digest. What is the newest already stays as it is.
    pub fn add(&mut self, pushed: &BTreeMap<String, String>, now: Timestamp) {
        let expires = (now + GRACE).to_string();
        for (tagged, digest) in pushed {
            let entries = self.trusted_tasks.entry(format!("oci://{tagged}")).or_default();
            if entries.first().is_some_and(|newest| newest.digest == *digest) {
                continue;
            }
            // One that comes back is the newest again.
            entries.retain(|entry| entry.digest != *digest);
            for entry in entries.iter_mut() {
                entry.expires_on.get_or_insert_with(|| expires.clone());
            }
            entries
                .insert(0, Entry { digest: digest.clone(), effective_on: now.to_string(), expires_on: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn pushed(digest: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("r.test/konflux/task-init:0.2".to_owned(), digest.to_owned())])
    }

    #[test]
    fn the_newest_is_first_and_those_before_expire_once() {
        let mut data = TrustedTasks::default();
        data.add(&pushed("sha256:aa"), at(0));
        let once = data.clone();
        data.add(&pushed("sha256:aa"), at(60));
        assert_eq!(data, once, "pushing the same again changes nothing");
        data.add(&pushed("sha256:bb"), at(120));
        data.add(&pushed("sha256:cc"), at(180));
        let entries = &data.trusted_tasks["oci://r.test/konflux/task-init:0.2"];
        let digests: Vec<_> = entries.iter().map(|entry| &*entry.digest).collect();
        assert_eq!(digests, ["sha256:cc", "sha256:bb", "sha256:aa"]);
        assert_eq!(entries[0].expires_on, None);
        assert_eq!(
            entries[2].expires_on,
            Some((at(120) + GRACE).to_string()),
            "counted from when it was replaced"
        );

        data.add(&pushed("sha256:aa"), at(240));
        let entries = &data.trusted_tasks["oci://r.test/konflux/task-init:0.2"];
        assert_eq!((entries.len(), &*entries[0].digest), (3, "sha256:aa"));
        assert_eq!(entries[0].expires_on, None, "what came back is trusted again");
    }

    #[test]
    fn is_read_as_written_and_absent_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(TrustedTasks::read(&file).unwrap(), TrustedTasks::default());
        let mut data = TrustedTasks::default();
        data.add(&pushed("sha256:aa"), at(0));
        data.write(&file).unwrap();
        assert_eq!(TrustedTasks::read(&file).unwrap(), data);
    }
}
