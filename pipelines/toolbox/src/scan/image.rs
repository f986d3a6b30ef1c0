//! `scan image`: the task clair-scan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context as _;
use registry::{Attached, Document, Error};
use sbom::{Format, Purl};

use super::database::Database;
use super::findings::{Finding, ScanOutput, find, uncovered};
use super::subject::Subject;
use crate::context::{Context, say};
use crate::results;
use crate::sbom::image::{Member, members};
use crate::test_output::{self, ImagesProcessed, TestOutput};

const CHECK: &str = "clair-scan";
const MAX_SBOM: u64 = 64 << 20;
/// Package URLs of these are no packages that somebody advises about.
const NO_PACKAGES: [&str; 4] = ["docker", "generic", "github", "oci"];

/// Looks for known vulnerabilities in an image, for each of its platforms.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, with its tag.
    #[arg(long)]
    image_url: String,
    /// Digest of the image, or of its index.
    #[arg(long)]
    image_digest: String,
    /// The database, an image reference. See `scan database`.
    #[arg(long, env = "VULNERABILITY_DATABASE", value_name = "IMAGE", default_value = "")]
    database: String,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
    /// How many vulnerabilities there are, by severity.
    #[arg(long, value_name = "PATH")]
    result_scan_output: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_images_processed: Option<PathBuf>,
}

/// The packages of an image, as far as they can be looked up.
#[derive(Debug, Default)]
struct Packages {
    subjects: BTreeSet<Subject>,
    /// How many of them cannot, by the reason.
    others: BTreeMap<String, usize>,
}

impl Packages {
    fn of(purls: impl IntoIterator<Item = Purl>) -> Self {
        let mut packages = Self::default();
        for purl in purls {
            match Subject::of(&purl) {
                Some(subject) => drop(packages.subjects.insert(subject)),
                None if NO_PACKAGES.contains(&purl.ty()) => {}
                None => {
                    let reason = match purl.version() {
                        Some(_) => format!("pkg:{}", purl.ty()),
                        None => "packages without a version".to_owned(),
                    };
                    *packages.others.entry(reason).or_default() += 1;
                }
            }
        }
        packages
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    test_output::report(&args.result_test_output, CHECK, now, async {
        anyhow::ensure!(!args.database.is_empty(), "no vulnerability database is set: --database");
        let database = Database::open(&args.database, context).await?;
        let members = members(&args.image_url, &args.image_digest, context).await?;
        let digests = members.iter().map(|member| &member.manifest.digest);
        ImagesProcessed::new(&args.image_url, digests).write(args.result_images_processed.as_ref())?;
        let mut images = Vec::new();
        for member in &members {
            let packages = packages(member, context).await.with_context(|| member.name())?;
            images.push((member, packages));
        }
        let all = images.iter().flat_map(|(_, packages)| packages.subjects.iter().cloned()).collect();
        let known = database.known(&all, context).await?;
        let ecosystems = database.ecosystems();

        let mut output = ScanOutput::default();
        let mut found = 0;
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for (member, packages) in &images {
            let (findings, unclear) = find(&packages.subjects, &known);
            say(&table(member, packages.subjects.len(), &findings));
            for finding in &findings {
                output.add(finding);
            }
            found += findings.len();
            for (reason, count) in uncovered(&packages.subjects, &ecosystems).iter().chain(&packages.others) {
                *open.entry(reason.clone()).or_default() += count;
            }
            for subject in &unclear {
                say(&format!("{} {}: its version cannot be compared", subject.name, subject.version));
            }
            if !unclear.is_empty() {
                *open.entry("versions that cannot be compared".to_owned()).or_default() += unclear.len();
            }
        }
        results::write(&args.result_scan_output, &serde_json::to_string(&output)?)?;
        Ok(summary(found, images.len(), &open, &database, now))
    })
    .await
}

/// A success if all that is in the images could be looked up.
fn summary(
    found: usize,
    images: usize,
    open: &BTreeMap<String, usize>,
    database: &Database,
    now: jiff::Timestamp,
) -> TestOutput {
    let as_of = database.about.modified.strftime("%Y-%m-%d");
    let mut note = format!("{found} vulnerabilities found, by a database as of {as_of}.");
    if !open.is_empty() {
        let list: Vec<String> = open.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
        note = format!("{note} Not looked up, as the database has nothing about them: {}.", list.join(", "));
    }
    TestOutput::counted(images as u64, 0, open.len() as u64, now).note(note)
}

/// By its attached bill of materials, which also knows of lockfiles; else by what is installed in it.
async fn packages(member: &Member, context: &Context) -> anyhow::Result<Packages> {
    let image = &member.manifest.reference;
    let attached = Attached::Sbom.reference(image, &member.manifest.digest);
    match context.registry.manifest(&attached, &context.keychain).await {
        Ok(manifest) => {
            let Document::Image(sbom) = manifest.document()? else {
                anyhow::bail!("{attached} is an index and no bill of materials");
            };
            let [layer] = &sbom.layers[..] else {
                anyhow::bail!("{attached} has {} bills of materials; one is expected", sbom.layers.len());
            };
            let bytes = context
                .registry
                .blob(&manifest.reference, &layer.digest, MAX_SBOM, &context.keychain)
                .await?;
            let format = Format::detect(&bytes).with_context(|| attached.to_string())?;
            Ok(Packages::of(format.purls()))
        }
        Err(Error::NotFound { .. }) => {
            say(&format!("{}: no bill of materials is attached; its layers are read", member.name()));
            let (packages, unread) = member.packages(context).await?;
            for file in &unread {
                say(&format!("Not looked up: /{file}"));
            }
            Ok(Packages::of(packages.into_iter().map(|package| package.purl)))
        }
        Err(error) => Err(error.into()),
    }
}

fn table(member: &Member, packages: usize, findings: &[Finding]) -> String {
    let mut lines =
        vec![format!("{}: {packages} packages looked up, {} vulnerabilities", member.name(), findings.len())];
    lines.extend(findings.iter().map(|finding| {
        let severity = format!("{:?}", finding.severity).to_uppercase();
        let package =
            format!("{}: {} {}", finding.subject.ecosystem, finding.subject.name, finding.subject.version);
        let fixed = finding.fixed.as_ref().map_or("no fix".to_owned(), |fixed| format!("fixed in {fixed}"));
        let (ids, summary) = (finding.ids.join(", "), &finding.summary);
        format!("  {severity:<9} {package:<50} {fixed:<24} {ids}  {summary}").trim_end().to_owned()
    }));
    lines.join("\n")
}
