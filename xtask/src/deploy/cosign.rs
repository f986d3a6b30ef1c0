//! A signing key pair in the files that cosign reads: `cosign.key`, encrypted by a password, and `cosign.pub`.
//!
//! The key is a PKCS #8 document in a secret box of `NaCl`, whose key scrypt makes of the password; all of it is a JSON object
//! in a PEM block (the format of cosign's `generate-key-pair`).
use anyhow::anyhow;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crypto_secretbox::{
    Key, Nonce, XSalsa20Poly1305,
    aead::{Aead as _, KeyInit as _},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use super::secrets::random;

/// Cost of scrypt, the one that every reader of the format accepts.
const LOG_N: u8 = 15;
const R: u32 = 8;
const P: u32 = 1;
const SALT: usize = 32;
const NONCE: usize = 24;
const KEY: usize = 32;

pub struct SigningKey {
    /// PEM, encrypted.
    pub private: String,
    /// PEM.
    pub public: String,
    pub password: String,
}

/// Makes a P-256 key pair under a random password.
pub fn signing_key() -> anyhow::Result<SigningKey> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let password = data_encoding::BASE64URL_NOPAD.encode(&random::<24>()?);
    let private = encrypted(&pair.serialize_der(), &password, random::<SALT>()?, random::<NONCE>()?)?;
    Ok(SigningKey { private, public: pair.public_key_pem(), password })
}

fn encrypted(
    document: &[u8],
    password: &str,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
) -> anyhow::Result<String> {
    let ciphertext = cipher(password, &salt)?
        .encrypt(Nonce::from_slice(&nonce), document)
        .map_err(|_| anyhow!("the signing key cannot be encrypted"))?;
    let content = serde_json::to_vec(&json!({
        "kdf": {
            "name": "scrypt",
            "params": {"N": 1_u32 << LOG_N, "r": R, "p": P},
            "salt": BASE64.encode(salt),
        },
        "cipher": {"name": "nacl/secretbox", "nonce": BASE64.encode(nonce)},
        "ciphertext": BASE64.encode(ciphertext),
    }))?;
    Ok(pem("ENCRYPTED SIGSTORE PRIVATE KEY", &content))
}

fn cipher(password: &str, salt: &[u8]) -> anyhow::Result<XSalsa20Poly1305> {
    let mut key = [0; KEY];
    scrypt::scrypt(password.as_bytes(), salt, &scrypt::Params::new(LOG_N, R, P, KEY)?, &mut key)?;
    Ok(XSalsa20Poly1305::new(Key::from_slice(&key)))
}

fn pem(label: &str, content: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(content).as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Reads a key as cosign does.
    fn decrypted(pem: &str, password: &str) -> Option<Vec<u8>> {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let content: Value = serde_json::from_slice(&BASE64.decode(body).unwrap()).unwrap();
        let bytes =
            |pointer: &str| BASE64.decode(content.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        assert_eq!(content["kdf"]["params"], json!({"N": 32768, "r": 8, "p": 1}));
        let cipher = cipher(password, &bytes("/kdf/salt")).unwrap();
        cipher.decrypt(Nonce::from_slice(&bytes("/cipher/nonce")), &bytes("/ciphertext")[..]).ok()
    }

    #[test]
    fn password_opens_the_key_of_the_public_half() {
        let key = signing_key().unwrap();
        let document = decrypted(&key.private, &key.password).unwrap();
        let pair = KeyPair::try_from(document).unwrap();
        assert_eq!(pair.public_key_pem(), key.public);
        assert_eq!(decrypted(&key.private, "another password"), None);
    }
}
