//! A sigstore in memory: an authority with an intermediate, a log of certificates, a log of signatures.

use attest::{Certificate, PrivateKey, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

type Hash = [u8; 32];

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const SUBJECT: &str = "https://git.example/org/app/.workflows/build@refs/heads/main";
const FULCIO: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];

/// When everything is signed.
pub(crate) fn moment() -> Timestamp {
    "2026-03-02T10:05:00Z".parse().unwrap()
}

pub(crate) struct Sigstore {
    pub(crate) root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
    issuer_key: Vec<u8>,
    certificates: PrivateKey,
    signatures: PrivateKey,
    /// Entries in their order.
    entries: Mutex<Vec<Vec<u8>>>,
}

/// What a certificate is to be like.
pub(crate) struct Wish {
    pub(crate) names: Vec<SanType>,
    /// Fulcio's extensions by their last number.
    pub(crate) says: Vec<(u64, String)>,
    pub(crate) from: Timestamp,
    pub(crate) usage: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) promise: Promise,
}

/// The signed certificate timestamp in a certificate.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Promise {
    Good,
    None,
    /// By a key that nobody knows, under the log's name.
    Forged,
    /// Of another certificate.
    Other,
    /// A year later.
    Late,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            names: vec![SanType::URI(SUBJECT.try_into().unwrap())],
            says: vec![(1, ISSUER.to_owned()), (8, ISSUER.to_owned()), (5, "org/app".to_owned())],
            from: moment() - SignedDuration::from_mins(5),
            usage: vec![ExtendedKeyUsagePurpose::CodeSigning],
            promise: Promise::Good,
        }
    }
}

impl Sigstore {
    pub(crate) fn new() -> Self {
        let (root_params, root_key) = authority("root", BasicConstraints::Unconstrained);
        let root = root_params.self_signed(&root_key).unwrap();
        let (params, key) = authority("intermediate", BasicConstraints::Constrained(0));
        let intermediate = params.signed_by(&key, &Issuer::new(root_params, root_key)).unwrap();
        Self {
            root: root.pem(),
            intermediate: intermediate.pem(),
            issuer_key: der(&key.public_key_pem()),
            issuer: Issuer::new(params, key),
            certificates: PrivateKey::generate().unwrap(),
            signatures: PrivateKey::generate().unwrap(),
            entries: Mutex::default(),
        }
    }

    /// PEM of all that issue.
    pub(crate) fn authorities(&self) -> String {
        format!("{}{}", self.intermediate, self.root)
    }

    pub(crate) fn roots(&self) -> attest::roots::Roots {
        let mut roots = attest::roots::Roots::default();
        roots.add_authorities(&self.root).unwrap();
        roots.add_certificate_log(&self.certificates.public().to_pem()).unwrap();
        roots.add_signature_log(&self.signatures.public().to_pem()).unwrap();
        roots
    }

    pub(crate) fn certificate_log(&self) -> &PublicKey {
        self.certificates.public()
    }

    pub(crate) fn signature_log(&self) -> &PublicKey {
        self.signatures.public()
    }

    /// As sigstore's `trusted_root.json`, with everything trusted from and until then.
    pub(crate) fn trusted_root(&self, from: &str, until: &str) -> Value {
        let window = json!({"start": from, "end": until});
        let raw = |pem: &str| BASE64.encode(der(pem));
        let log = |key: &PublicKey| {
            json!({"baseUrl": "https://log.example", "hashAlgorithm": "SHA2_256",
                   "publicKey": {"rawBytes": raw(&key.to_pem()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window},
                   "logId": {"keyId": BASE64.encode(Sha256::digest(der(&key.to_pem())))}})
        };
        let chain = [&self.intermediate, &self.root].map(|pem| json!({"rawBytes": raw(pem)}));
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.signature_log())],
            "certificateAuthorities": [{"subject": {}, "uri": "https://fulcio.example", "certChain": {"certificates": chain}, "validFor": window}],
            "ctlogs": [log(self.certificate_log())],
        })
    }

    pub(crate) fn issue(&self, key: &PublicKey, wish: &Wish) -> Certificate {
        let key = SubjectPublicKeyInfo::from_pem(&key.to_pem()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names.clone_from(&wish.names);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&wish.usage);
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(vec![0x4a, 1, 2, 3]));
        params.not_before = std::time::SystemTime::from(wish.from).into();
        params.not_after = std::time::SystemTime::from(wish.from + SignedDuration::from_mins(10)).into();
        params.custom_extensions = wish
            .says
            .iter()
            .map(|(number, text)| {
                let oid: Vec<u64> = FULCIO.into_iter().chain([*number]).collect();
                let content = if *number <= 6 { text.as_bytes().to_vec() } else { utf8_string(text) };
                CustomExtension::from_oid_content(&oid, content)
            })
            .collect();
        let precertificate = params.signed_by(&key, &self.issuer).unwrap();
        if wish.promise != Promise::None {
            let (_, parsed) = X509Certificate::from_der(precertificate.der()).unwrap();
            let list = self.promise(parsed.tbs_certificate.as_ref(), wish);
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], list));
        }
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Certificate { leaf: leaf.pem(), chain: self.authorities() }
    }

    /// A list of one signed certificate timestamp (RFC 6962, section 3.3).
    fn promise(&self, tbs: &[u8], wish: &Wish) -> Vec<u8> {
        let at = wish.from + SignedDuration::from_hours(if wish.promise == Promise::Late { 9000 } else { 0 });
        let mut signed = vec![0, 0];
        signed.extend(at.as_millisecond().to_be_bytes());
        signed.extend([0, 1]);
        signed.extend(Sha256::digest(&self.issuer_key));
        signed.extend(&u32::try_from(tbs.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(tbs);
        signed.extend([0, 0]);
        if wish.promise == Promise::Other {
            signed[60] ^= 1;
        }
        let signature = if wish.promise == Promise::Forged {
            PrivateKey::generate().unwrap().sign(&signed).unwrap()
        } else {
            self.certificates.sign(&signed).unwrap()
        };
        let mut sct = vec![0];
        sct.extend(Sha256::digest(der(&self.certificates.public().to_pem())));
        sct.extend(at.as_millisecond().to_be_bytes());
        sct.extend([0, 0, 4, 3]);
        sct.extend(u16::try_from(signature.len()).unwrap().to_be_bytes());
        sct.extend(signature);
        let mut list = u16::try_from(sct.len() + 2).unwrap().to_be_bytes().to_vec();
        list.extend(u16::try_from(sct.len()).unwrap().to_be_bytes());
        list.extend(sct);
        let mut octets = vec![4, u8::try_from(list.len()).unwrap()];
        if list.len() > 127 {
            octets.insert(1, 0x81);
        }
        octets.extend(list);
        octets
    }

    /// Takes an entry in, or finds it there. Its number, and whether it was there.
    pub(crate) fn log(&self, body: &[u8]) -> (usize, bool) {
        let mut entries = self.entries.lock();
        if let Some(index) = entries.iter().position(|entry| entry == body) {
            return (index, true);
        }
        entries.push(body.to_vec());
        (entries.len() - 1, false)
    }

    pub(crate) fn find(&self, body: &[u8]) -> Option<usize> {
        self.entries.lock().iter().position(|entry| entry == body)
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries.lock().len()
    }

    /// As the log gives an entry: its number is one of a longer log, of which this tree is a part.
    pub(crate) fn entry(&self, index: usize) -> Value {
        let entries = self.entries.lock();
        let leaves: Vec<Hash> = entries.iter().map(|entry| hash(&[&[0], entry])).collect();
        let root = tree(&leaves);
        let note = format!("log.example - 1\n{}\n{}\n", leaves.len(), BASE64.encode(root));
        let mut signature = vec![1, 2, 3, 4];
        signature.extend(self.signatures.sign(note.as_bytes()).unwrap());
        let mut payload = json!({
            "body": BASE64.encode(&entries[index]),
            "integratedTime": moment().as_second(),
            "logID": data_encoding::HEXLOWER.encode(&Sha256::digest(der(&self.signatures.public().to_pem()))),
            "logIndex": index + 1000,
        });
        let promise = self.signatures.sign(&canonical(&payload)).unwrap();
        payload["verification"] = json!({
            "signedEntryTimestamp": BASE64.encode(promise),
            "inclusionProof": {
                "checkpoint": format!("{note}\n\u{2014} log.example {}\n", BASE64.encode(signature)),
                "hashes": path(index, &leaves).iter().map(|hash| data_encoding::HEXLOWER.encode(hash)).collect::<Vec<_>>(),
                "logIndex": index,
                "rootHash": data_encoding::HEXLOWER.encode(&root),
                "treeSize": leaves.len(),
            },
        });
        payload
    }

    /// As a layer's annotation has it.
    pub(crate) fn bundle(&self, index: usize) -> Value {
        let entry = self.entry(index);
        let mut payload = entry.clone();
        payload.as_object_mut().unwrap().remove("verification");
        json!({"SignedEntryTimestamp": entry["verification"]["signedEntryTimestamp"], "Payload": payload})
    }
}

/// The four members of an entry's payload, as the log signs them.
fn canonical(payload: &Value) -> Vec<u8> {
    format!(
        r#"{{"body":{},"integratedTime":{},"logID":{},"logIndex":{}}}"#,
        payload["body"], payload["integratedTime"], payload["logID"], payload["logIndex"]
    )
    .into_bytes()
}

/// Root of a tree (RFC 6962, section 2.1).
fn tree(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => hash(&[]),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(half(leaves));
            hash(&[&[1], &tree(left), &tree(right)])
        }
    }
}

/// Audit path (RFC 6962, section 2.1.1).
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(half(leaves));
    let (mut path, last) = if index < left.len() {
        (path(index, left), tree(right))
    } else {
        (path(index - left.len(), right), tree(left))
    };
    path.push(last);
    path
}

/// The largest power of two that leaves something.
fn half(leaves: &[Hash]) -> usize {
    leaves.len().next_power_of_two() / 2
}

fn hash(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}

fn authority(name: &str, constraints: BasicConstraints) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    if name == "intermediate" {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
    }
    (params, KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap())
}

pub(crate) fn der(pem: &str) -> Vec<u8> {
    pem::parse(pem).unwrap().into_contents()
}

fn utf8_string(text: &str) -> Vec<u8> {
    let mut der = vec![0x0c, u8::try_from(text.len()).unwrap()];
    if text.len() > 127 {
        der.insert(1, 0x81);
    }
    der.extend(text.as_bytes());
    der
}
