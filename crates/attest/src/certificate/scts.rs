//! Signed certificate timestamps: a log's promise that everybody can see a certificate (RFC 6962, section 3).

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

use crate::roots::Roots;

/// Extension with the list, 1.3.6.1.4.1.11129.2.4.2, without tag and length.
const OID: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 6;
/// `[3] EXPLICIT` of a TBSCertificate.
const EXTENSIONS: u8 = 0xa3;

/// Whether one of the embedded timestamps is by a log that was trusted then. `issuer_key` is DER.
pub(super) fn check(
    certificate: &X509Certificate<'_>,
    issuer_key: &[u8],
    roots: &Roots,
    at: Timestamp,
) -> Result<(), String> {
    if roots.certificate_logs.is_empty() {
        return Err("no log of certificates is known".to_owned());
    }
    let lists = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SCT(list) => Some(list),
        _ => None,
    });
    let promises: Vec<_> = lists.flatten().collect();
    if promises.is_empty() {
        return Err("it holds no signed certificate timestamp".to_owned());
    }
    let tbs = without_list(certificate.tbs_certificate.as_ref())
        .ok_or_else(|| "it cannot be taken apart".to_owned())?;
    let issuer_key_hash: [u8; 32] = Sha256::digest(issuer_key).into();
    let is_good = promises.iter().any(|promise| {
        let logged =
            i64::try_from(promise.timestamp).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(logged) = logged.filter(|logged| promise.version.0 == 0 && *logged <= at + TOLERANCE) else {
            return false;
        };
        let Some(signed) = signed(promise.timestamp, &issuer_key_hash, &tbs, promise.extensions.0) else {
            return false;
        };
        let logs = roots.certificate_logs.iter();
        let mut named = logs.filter(|log| log.id == *promise.id.key_id && log.window.permits(logged));
        named.any(|log| log.key.verify(&signed, promise.signature.data).is_ok())
    });
    if is_good { Ok(()) } else { Err("its signed certificate timestamps are by no known log".to_owned()) }
}

/// By which the clocks of an authority, a log and a signer may differ.
const TOLERANCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// What a log signs about a precertificate (RFC 6962, section 3.2).
fn signed(timestamp: u64, issuer_key_hash: &[u8; 32], tbs: &[u8], extensions: &[u8]) -> Option<Vec<u8>> {
    const VERSION_1: u8 = 0;
    const CERTIFICATE_TIMESTAMP: u8 = 0;
    const PRECERTIFICATE: [u8; 2] = [0, 1];
    let mut signed = vec![VERSION_1, CERTIFICATE_TIMESTAMP];
    signed.extend(timestamp.to_be_bytes());
    signed.extend(PRECERTIFICATE);
    signed.extend(issuer_key_hash);
    let length = u32::try_from(tbs.len()).ok().filter(|length| *length < 1 << 24)?.to_be_bytes();
    signed.extend(&length[1..]);
    signed.extend(tbs);
    signed.extend(u16::try_from(extensions.len()).ok()?.to_be_bytes());
    signed.extend(extensions);
    Some(signed)
}

/// A TBSCertificate without the extension that the log's promise was later put into.
fn without_list(tbs: &[u8]) -> Option<Vec<u8>> {
    let (outer, rest) = Element::read(tbs)?;
    if outer.tag != SEQUENCE || !rest.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    for field in outer.elements()? {
        if field.tag != EXTENSIONS {
            fields.extend(field.whole);
            continue;
        }
        let (list, rest) = Element::read(field.content)?;
        if list.tag != SEQUENCE || !rest.is_empty() {
            return None;
        }
        let mut kept = Vec::new();
        for extension in list.elements()? {
            let (oid, _) = Element::read(extension.content)?;
            if !(oid.tag == OBJECT_IDENTIFIER && oid.content == OID) {
                kept.extend(extension.whole);
            }
        }
        if !kept.is_empty() {
            fields.extend(encoded(EXTENSIONS, &encoded(SEQUENCE, &kept)));
        }
    }
    Some(encoded(SEQUENCE, &fields))
}

/// One value in DER, with a tag of one byte.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(der: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&tag, rest) = der.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // More than four bytes of length would be more than a registry serves.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = der.get(..der.len() - rest.len())?;
        Some((Self { tag, content, whole }, rest))
    }

    fn elements(&self) -> Option<Vec<Self>> {
        let mut elements = Vec::new();
        let mut rest = self.content;
        while !rest.is_empty() {
            let (element, after) = Self::read(rest)?;
            elements.push(element);
            rest = after;
        }
        Some(elements)
    }
}

fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![tag];
    match significant.as_slice() {
        [] => der.push(0),
        [short @ 0..=0x7f] => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}
