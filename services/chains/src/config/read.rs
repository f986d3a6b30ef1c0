//! Reads the ConfigMap key by key.

use std::collections::BTreeMap;
use std::str::FromStr;

use fleet::Secret;
use url::Url;

use super::{Artifact, Backend, Config, Fault, Keyless, Kms, SignerKind, Transparency};
use crate::payload::{BuildType, Format};

/// Names us, and not the original, as the builder. Overlays name their shard.
const BUILDER_ID: &str = "https://fleet.konflux-ci.dev/chains";
/// Our name in `builder.version`.
const BUILDER: &str = "chains";
/// Begins keys that name the version of a further component.
const VERSION_PREFIX: &str = "builder.version.";
const REKOR: &str = "https://rekor.sigstore.dev";
const FULCIO: &str = "https://fulcio.sigstore.dev";
const TOKEN_FILE: &str = "/var/run/sigstore/cosign/oidc-token";

/// Values by key, and the faults that were found so far.
struct Reader<'a> {
    data: &'a BTreeMap<String, String>,
    faults: Vec<Fault>,
}

pub(super) fn config(data: &BTreeMap<String, String>) -> Result<Config, Vec<Fault>> {
    let mut reader = Reader { data, faults: Vec::new() };
    let config = reader.config();
    if reader.faults.is_empty() { Ok(config) } else { Err(reader.faults) }
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        self.refuse_what_is_not_there();
        Config {
            task_runs: self.runs("taskrun", Backend::Tekton),
            pipeline_runs: self.runs("pipelinerun", Backend::Tekton),
            images: self.images(),
            deep_inspection: self.boolean("artifacts.pipelinerun.enable-deep-inspection").unwrap_or_default(),
            repository: self.repository(),
            builder_id: self.text("builder.id", BUILDER_ID),
            builder_version: self.builder_version(),
            build_type: self.word::<BuildType>("builddefinition.buildtype"),
            transparency: self.transparency(),
            log: self.url("transparency.url", REKOR),
            keyless: self.keyless(),
            kms: self.kms(),
        }
    }

    /// The trimmed value of a key, if it says something.
    fn get(&self, key: &str) -> Option<&str> {
        self.data.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn text(&self, key: &str, default: &str) -> String {
        self.get(key).unwrap_or(default).to_owned()
    }

    /// As Go reads booleans; what it cannot read is none.
    fn boolean(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        }
    }

    fn fault(&mut self, key: &str, why: impl Into<String>) {
        self.faults.push(Fault { key: key.to_owned(), why: why.into() });
    }

    fn runs(&mut self, kind: &str, default: Backend) -> Artifact {
        let format: Format = self.word(&format!("artifacts.{kind}.format"));
        Artifact { format, storage: self.storage(kind, default), signer: self.signer(kind) }
    }

    fn images(&mut self) -> Artifact {
        if let Some(format) = self.get("artifacts.oci.format").filter(|format| *format != "simplesigning") {
            let why = format!("{format:?} is no format of images; the only one is simplesigning");
            self.fault("artifacts.oci.format", why);
        }
        let mut storage = self.storage("oci", Backend::Oci);
        if self.boolean("artifacts.oci.disable-signing") == Some(true) {
            storage.clear();
        }
        Artifact { format: Format::default(), storage, signer: self.signer("oci") }
    }

    /// One of the words that `T` knows; its error names them.
    fn word<T: FromStr<Err: std::fmt::Display> + Default>(&mut self, key: &str) -> T {
        match self.get(key).map(str::parse) {
            None => T::default(),
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.fault(key, error.to_string());
                T::default()
            }
        }
    }

    /// A list with commas; an empty one is something else than none.
    fn storage(&mut self, kind: &str, default: Backend) -> Vec<Backend> {
        let key = format!("artifacts.{kind}.storage");
        let Some(list) = self.data.get(&key) else { return vec![default] };
        let mut backends = Vec::new();
        let mut unknown = Vec::new();
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match Backend::from_str(word) {
                Ok(backend) => backends.push(backend),
                Err(_) => unknown.push(format!("{word:?}")),
            }
        }
        if !unknown.is_empty() {
            let why = format!(
                "{} is no storage; known are tekton, oci, gcs, docdb, grafeas, kafka, archivista",
                unknown.join(", ")
            );
            self.fault(&key, why);
        }
        backends.sort_unstable();
        backends.dedup();
        backends
    }

    fn signer(&mut self, kind: &str) -> SignerKind {
        let key = format!("artifacts.{kind}.signer");
        let word = self.get(&key).unwrap_or("x509");
        if let Ok(signer) = word.parse() {
            return signer;
        }
        let why = format!("{word:?} is no signer; known are x509, kms, none");
        self.fault(&key, why);
        SignerKind::None
    }

    fn repository(&mut self) -> Option<registry::Reference> {
        let text = self.get("storage.oci.repository")?.to_owned();
        match text.parse::<registry::Reference>() {
            Ok(reference) => Some(reference),
            Err(error) => {
                self.fault("storage.oci.repository", error.to_string());
                None
            }
        }
    }

    /// What would weaken a signature, or is not served, must not seem to be in force.
    fn refuse_what_is_not_there(&mut self) {
        if self.boolean("storage.oci.repository.insecure") == Some(true) {
            let why = "registries are spoken to by TLS only; put the authority of its certificate into the CA bundle";
            self.fault("storage.oci.repository.insecure", why);
        }
        if let Some(format) = self.get("storage.oci.encoding-format").filter(|format| *format != "dsse") {
            let why = format!("{format:?} is not written; the only one is dsse");
            self.fault("storage.oci.encoding-format", why);
        }
    }

    fn builder_version(&self) -> BTreeMap<String, String> {
        let ours = (BUILDER.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let further = self.data.iter().filter_map(|(key, version)| {
            let component = key.strip_prefix(VERSION_PREFIX)?;
            (!component.is_empty()).then(|| (component.to_owned(), version.trim().to_owned()))
        });
        further.chain([ours]).collect()
    }

    /// Every other word turns it off, as in the original.
    fn transparency(&self) -> Transparency {
        match self.get("transparency.enabled") {
            Some("manual") => Transparency::Manual,
            _ if self.boolean("transparency.enabled") == Some(true) => Transparency::On,
            _ => Transparency::Off,
        }
    }

    fn url(&mut self, key: &str, default: &str) -> Url {
        let text = self.text(key, default);
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.has_host() => url,
            _ => {
                self.fault(key, format!("{text:?} is no address such as {default}"));
                Url::parse(default).expect("the defaults are addresses")
            }
        }
    }

    fn keyless(&mut self) -> Option<Keyless> {
        let is_enabled = self.boolean("signers.x509.fulcio.enabled") == Some(true);
        let fulcio = self.url("signers.x509.fulcio.address", FULCIO);
        let provider = self.get("signers.x509.fulcio.provider").unwrap_or("filesystem");
        if !["filesystem", "spiffe", "google", "github"].contains(&provider) {
            let why =
                format!("{provider:?} is no provider of identities; give a token as a file: filesystem");
            self.fault("signers.x509.fulcio.provider", why);
        } else if is_enabled && provider != "filesystem" {
            let why =
                format!("tokens of {provider} are not asked for; mount one as a file and say filesystem");
            self.fault("signers.x509.fulcio.provider", why);
        }
        let token_file = self.text("signers.x509.identity.token.file", TOKEN_FILE);
        is_enabled.then_some(Keyless { fulcio, token_file })
    }

    fn kms(&self) -> Kms {
        let text = |key: &str| self.text(&format!("signers.kms.{key}"), "");
        let token = text("auth.token");
        Kms {
            key: text("kmsref"),
            address: text("auth.address"),
            token: (!token.is_empty()).then(|| Secret::new(token)),
            token_path: text("auth.token-path"),
            oidc_path: text("auth.oidc.path"),
            oidc_role: text("auth.oidc.role"),
            oidc_token_path: text("auth.oidc.token-path"),
            spire_socket: text("auth.spire.sock"),
            spire_audience: text("auth.spire.audience"),
        }
    }
}
