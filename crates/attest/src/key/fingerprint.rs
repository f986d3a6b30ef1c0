//! Fingerprints of keys, as SSH has them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The numbers of a public key.
pub(super) enum Material<'a> {
    /// `curve` by SSH's name (RFC 5656), the point not compressed.
    Ec {
        curve: &'static str,
        point: &'a [u8],
    },
    /// Contents of DER integers, which are those of SSH's: big-endian, two's complement, shortest.
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    Ed25519(&'a [u8]),
}

/// `SHA256:…`, of the wire form of RFC 4253 section 6.6, RFC 5656 and RFC 8709.
pub(super) fn fingerprint(material: &Material<'_>) -> String {
    let mut wire = Vec::new();
    match material {
        Material::Ec { curve, point } => {
            put(&mut wire, format!("ecdsa-sha2-{curve}").as_bytes());
            put(&mut wire, curve.as_bytes());
            put(&mut wire, point);
        }
        Material::Rsa { modulus, exponent } => {
            put(&mut wire, b"ssh-rsa");
            put(&mut wire, exponent);
            put(&mut wire, modulus);
        }
        Material::Ed25519(key) => {
            put(&mut wire, b"ssh-ed25519");
            put(&mut wire, key);
        }
    }
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, &wire)))
}

/// A string of SSH: its length in four bytes, then itself.
fn put(wire: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("no part of a key has 4 GiB");
    wire.extend(length.to_be_bytes());
    wire.extend(part);
}
