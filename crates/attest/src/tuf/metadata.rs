//! Metadata of The Update Framework: what is said, and by how many keys of its role.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};

use crate::key::PublicKey;

/// `SubjectPublicKeyInfo` of an Ed25519 key, up to its 32 bytes (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What a role signs.
pub(super) trait Role: DeserializeOwned {
    /// Its name, and `_type`.
    const NAME: &str;

    fn version(&self) -> u64;

    fn expires(&self) -> Timestamp;
}

macro_rules! role {
    ($type:ty, $name:literal) => {
        impl Role for $type {
            const NAME: &str = $name;

            fn version(&self) -> u64 {
                self.version
            }

            fn expires(&self) -> Timestamp {
                self.expires
            }
        }
    };
}

role!(Root, "root");
role!(TimestampRole, "timestamp");
role!(Snapshot, "snapshot");
role!(Targets, "targets");

#[derive(Deserialize)]
pub(super) struct Root {
    pub(super) version: u64,
    pub(super) expires: Timestamp,
    #[serde(default)]
    pub(super) consistent_snapshot: bool,
    keys: BTreeMap<String, Key>,
    roles: BTreeMap<String, Keyring>,
}

#[derive(Deserialize)]
struct Key {
    keytype: String,
    keyval: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    public: String,
}

#[derive(Deserialize)]
struct Keyring {
    keyids: Vec<String>,
    threshold: usize,
}

#[derive(Deserialize)]
pub(super) struct TimestampRole {
    pub(super) version: u64,
    expires: Timestamp,
    pub(super) meta: BTreeMap<String, FileOfRole>,
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    expires: Timestamp,
    pub(super) meta: BTreeMap<String, FileOfRole>,
}

#[derive(Deserialize)]
pub(super) struct Targets {
    pub(super) version: u64,
    expires: Timestamp,
    #[serde(default, rename = "targets")]
    pub(super) files: BTreeMap<String, Target>,
}

/// Another role's metadata.
#[derive(Deserialize)]
pub(super) struct FileOfRole {
    pub(super) version: u64,
    length: Option<u64>,
    #[serde(default)]
    hashes: Hashes,
}

/// A file.
#[derive(Deserialize)]
pub(super) struct Target {
    length: u64,
    pub(super) hashes: Hashes,
}

#[derive(Default, Deserialize)]
pub(super) struct Hashes {
    sha256: Option<String>,
    sha512: Option<String>,
}

impl Hashes {
    /// What a name begins with on mirrors that keep old files.
    pub(super) fn first(&self) -> Option<&str> {
        let hash = self.sha256.as_deref().or(self.sha512.as_deref())?;
        hash.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(hash)
    }

    fn check(&self, content: &[u8]) -> Result<(), String> {
        let is = |hash: &Option<String>, digest: &[u8]| {
            hash.as_ref().is_none_or(|hash| *hash == data_encoding::HEXLOWER.encode(digest))
        };
        let is_same =
            is(&self.sha256, &Sha256::digest(content)) && is(&self.sha512, &Sha512::digest(content));
        if is_same { Ok(()) } else { Err("its content has another digest than is signed".to_owned()) }
    }
}

impl FileOfRole {
    pub(super) fn check(&self, content: &[u8]) -> Result<(), String> {
        if self.length.is_some_and(|length| length != content.len() as u64) {
            return Err("its content has another length than is signed".to_owned());
        }
        self.hashes.check(content)
    }
}

impl Target {
    pub(super) fn check(&self, content: &[u8]) -> Result<(), String> {
        if self.hashes.first().is_none() {
            return Err("it has no digest".to_owned());
        }
        if self.length != content.len() as u64 {
            return Err("its content has another length than is signed".to_owned());
        }
        self.hashes.check(content)
    }
}

/// As it was read; nobody knows by whom it is.
pub(super) struct Metadata<T> {
    content: Vec<u8>,
    signed: T,
    /// What the signatures are over.
    canonical: Vec<u8>,
    signatures: Vec<Signature>,
}

/// By enough keys of its role.
pub(super) struct Verified<T> {
    pub(super) content: Vec<u8>,
    pub(super) signed: T,
}

#[derive(Deserialize)]
struct File {
    signed: Value,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl<T: Role> Metadata<T> {
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let unreadable = |error: serde_json::Error| format!("it cannot be read: {error}");
        let file: File = serde_json::from_slice(content).map_err(unreadable)?;
        if file.signed["_type"] != T::NAME {
            return Err(format!("it is no metadata of the role {}", T::NAME));
        }
        let mut canonical = String::new();
        write_canonical(&file.signed, &mut canonical)?;
        Ok(Self {
            content: content.to_vec(),
            signed: serde_json::from_value(file.signed).map_err(unreadable)?,
            canonical: canonical.into_bytes(),
            signatures: file.signatures,
        })
    }

    /// Verifies that as many keys of the role have signed it as that root asks for.
    pub(super) fn signed_by(self, root: &Root) -> Result<Verified<T>, String> {
        self.check(root)?;
        Ok(Verified { content: self.content, signed: self.signed })
    }

    fn check(&self, root: &Root) -> Result<(), String> {
        let ring =
            root.roles.get(T::NAME).ok_or_else(|| format!("the root has no keys of the role {}", T::NAME))?;
        // By the keys themselves: one key under two names signs once.
        let mut signers = BTreeSet::new();
        for signature in self.signatures.iter().filter(|signature| ring.keyids.contains(&signature.keyid)) {
            let key = root.keys.get(&signature.keyid).and_then(Key::read);
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(signature.sig.as_bytes()).ok();
            if let (Some(key), Some(bytes)) = (key, bytes)
                && key.verify(&self.canonical, &bytes).is_ok()
            {
                signers.insert(key.key_id().to_owned());
            }
        }
        let needed = ring.threshold.max(1);
        if signers.len() >= needed {
            return Ok(());
        }
        Err(format!("{} of the {needed} signatures that are needed are good", signers.len()))
    }
}

impl Metadata<Root> {
    /// Verifies that it comes after `root`: by the keys of both.
    pub(super) fn follows(self, root: &Root) -> Result<Verified<Root>, String> {
        self.check(root)?;
        self.signed_by_itself()
    }

    /// The same by the keys that it names itself.
    pub(super) fn signed_by_itself(self) -> Result<Verified<Root>, String> {
        self.check(&self.signed)?;
        Ok(Verified { content: self.content, signed: self.signed })
    }
}

impl Key {
    /// `None` for keys of kinds that we do not know, which so never sign anything.
    fn read(&self) -> Option<PublicKey> {
        if self.keytype == "ed25519" {
            let bare = data_encoding::HEXLOWER_PERMISSIVE.decode(self.keyval.public.as_bytes()).ok()?;
            let der: Vec<u8> = ED25519.into_iter().chain(bare).collect();
            return PublicKey::from_der(&der).ok();
        }
        // RSA keys would sign by PSS, which `PublicKey` does not verify.
        self.keytype.starts_with("ecdsa").then(|| PublicKey::from_pem(&self.keyval.public).ok()).flatten()
    }
}

/// Canonical JSON as OLPC has it: members in order, no white space, and only `"` and `\` escaped.
fn write_canonical(value: &Value, into: &mut String) -> Result<(), String> {
    match value {
        Value::Null => into.push_str("null"),
        Value::Bool(truth) => into.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) if number.is_i64() || number.is_u64() => into.push_str(&number.to_string()),
        Value::Number(_) => return Err("it has a number with a fraction".to_owned()),
        Value::String(text) => write_text(text, into),
        Value::Array(elements) => {
            into.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    into.push(',');
                }
                write_canonical(element, into)?;
            }
            into.push(']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            into.push('{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    into.push(',');
                }
                write_text(key, into);
                into.push(':');
                write_canonical(member, into)?;
            }
            into.push('}');
        }
    }
    Ok(())
}

fn write_text(text: &str, into: &mut String) {
    into.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            into.push('\\');
        }
        into.push(character);
    }
    into.push('"');
}
