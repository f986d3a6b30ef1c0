//! The database as it lies in a registry: an OCI artifact with a layer for each ecosystem.
//!
//! A layer is a line of JSON per package and advisory ([`Record`]), packed by gzip, so that it is read as it comes in and only what an
//! image has is held.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use registry::{Descriptor, Document, Reference};
use serde::{Deserialize, Serialize};

use super::findings::Known;
use super::osv::Record;
use super::subject::{Ecosystem, Subject};
use crate::context::Context;

pub(super) const ARTIFACT: &str = "application/vnd.konflux-rs.vulnerabilities.v1";
pub(super) const CONFIG: &str = "application/vnd.konflux-rs.vulnerabilities.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.konflux-rs.vulnerabilities.v1.jsonl+gzip";
/// Annotation of a layer.
pub(super) const ECOSYSTEM: &str = "konflux-rs.dev/ecosystem";

const MAX_CONFIG: u64 = 1 << 20;
/// Of a layer, packed and unpacked. That of all of npm has some 100 MB unpacked.
const MAX_LAYER: u64 = 1 << 30;
const MAX_UNPACKED: u64 = 16 << 30;
const MAX_LINE: u64 = 16 << 20;

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// When its newest advisory was last changed.
    pub(super) modified: Timestamp,
    /// How many records each ecosystem has.
    pub(super) ecosystems: BTreeMap<String, u64>,
}

/// A database that can be asked.
#[derive(Debug)]
pub(super) struct Database {
    reference: Reference,
    pub(super) about: About,
    layers: Vec<(Ecosystem, Descriptor)>,
}

impl Database {
    pub(super) async fn open(reference: &str, context: &Context) -> anyhow::Result<Self> {
        let reference: Reference =
            reference.parse().with_context(|| format!("vulnerability database {reference:?}"))?;
        let manifest = context.registry.manifest(&reference, &context.keychain).await?;
        let Document::Image(image) = manifest.document()? else {
            bail!("{reference} is an index and no vulnerability database");
        };
        ensure!(
            image.config.media_type == CONFIG,
            "{reference} is no vulnerability database: its configuration is {:?}",
            image.config.media_type
        );
        let at = &manifest.reference;
        let about = context.registry.blob(at, &image.config.digest, MAX_CONFIG, &context.keychain).await?;
        let about: About =
            serde_json::from_slice(&about).with_context(|| format!("{reference}: what it says of itself"))?;
        let layers = image.layers.into_iter().filter(|layer| layer.media_type == LAYER);
        let layers: Vec<(Ecosystem, Descriptor)> = layers
            .filter_map(|layer| Some((Ecosystem::parse(layer.annotations.get(ECOSYSTEM)?)?, layer)))
            .collect();
        ensure!(!layers.is_empty(), "{reference} has no advisories");
        Ok(Self { reference: manifest.reference, about, layers })
    }

    pub(super) fn ecosystems(&self) -> Vec<Ecosystem> {
        self.layers.iter().map(|(ecosystem, _)| ecosystem.clone()).collect()
    }

    /// All that is known of the packages with these names.
    pub(super) async fn known(
        &self,
        subjects: &BTreeSet<Subject>,
        context: &Context,
    ) -> anyhow::Result<Known> {
        let mut known = Known::new();
        for (ecosystem, layer) in &self.layers {
            let asked = subjects.iter().filter(|subject| subject.ecosystem.is_covered_by(ecosystem));
            let names: BTreeSet<&str> = asked.map(|subject| &*subject.name).collect();
            if names.is_empty() {
                continue;
            }
            let mut file =
                tokio::fs::File::from_std(tempfile::tempfile().context("make a file for a layer")?);
            let (registry, keychain) = (&context.registry, &context.keychain);
            registry.blob_to(&self.reference, &layer.digest, MAX_LAYER, &mut file, keychain).await?;
            let records = read(file.into_std().await, &names)
                .with_context(|| format!("{}: read its layer of {ecosystem}", self.reference))?;
            for record in records {
                known.entry((ecosystem.clone(), record.name.clone())).or_default().push(record);
            }
        }
        Ok(known)
    }
}

/// The part of a line that says whether the rest is of use.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Records of the packages with these names.
pub(super) fn read(mut layer: File, names: &BTreeSet<&str>) -> anyhow::Result<Vec<Record>> {
    layer.rewind()?;
    let mut lines = BufReader::new(MultiGzDecoder::new(BufReader::new(layer)).take(MAX_UNPACKED));
    let (mut records, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            ensure!(lines.get_ref().limit() > 0, "it has more than {MAX_UNPACKED} bytes");
            return Ok(records);
        }
        ensure!(line.ends_with(b"\n"), "a line is cut short");
        let Named { name } = serde_json::from_slice(&line)?;
        if names.contains(&*name) {
            records.push(serde_json::from_slice(&line)?);
        }
    }
}
