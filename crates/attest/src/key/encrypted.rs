//! Private keys under a password, in cosign's form: a JSON object that names how scrypt makes a key of the password, and holds
//! the PKCS #8 document in a secret box of `NaCl` (go-securesystemslib's `encrypted`).

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use fleet::Secret;
use serde::{Deserialize, Serialize};

use super::KeyError;

pub(super) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// Of older cosign.
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// Cost of scrypt as every reader of the format accepts it.
const COST: Cost = Cost { n: 1 << 15, r: 8, p: 1 };
/// A file may ask for up to 128 MiB, four times what cosign asks for.
const MAX_LOG_N: u8 = 17;
const MAX_R: u32 = 8;
const MAX_P: u32 = 4;
const SALT: usize = 32;
const NONCE: usize = 24;
const KEY: usize = 32;
const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";

pub(super) fn is_label(label: &str) -> bool {
    [LABEL, OLD_LABEL].contains(&label)
}

#[derive(Serialize, Deserialize)]
struct Content {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

fn malformed(reason: &'static str) -> KeyError {
    KeyError::Malformed { wanted: "encrypted private key", reason }
}

/// The document in `content`, if this is its password.
pub(super) fn decrypt(content: &[u8], password: &str) -> Result<Secret<Vec<u8>>, KeyError> {
    let content: Content = serde_json::from_slice(content)
        .map_err(|_| malformed("its content is not the JSON that cosign writes"))?;
    if content.kdf.name != KDF || content.cipher.name != CIPHER {
        return Err(malformed("it is encrypted in another way than by scrypt and nacl/secretbox"));
    }
    let bytes = |text: &str| BASE64.decode(text).map_err(|_| malformed("something in it is no base64"));
    let nonce: [u8; NONCE] =
        bytes(&content.cipher.nonce)?.try_into().map_err(|_| malformed("its nonce is not 24 bytes long"))?;
    let cipher = cipher(password, &bytes(&content.kdf.salt)?, content.kdf.params)?;
    let document = cipher.decrypt(Nonce::from_slice(&nonce), &bytes(&content.ciphertext)?[..]);
    document.map(Secret::new).map_err(|_| KeyError::WrongPassword)
}

pub(super) fn encrypt(document: &[u8], password: &str) -> Result<Vec<u8>, KeyError> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    rand::fill(&mut salt)
        .and_then(|()| rand::fill(&mut nonce))
        .map_err(|_| KeyError::Internal("the system gives no randomness"))?;
    let ciphertext = cipher(password, &salt, COST)?
        .encrypt(Nonce::from_slice(&nonce), document)
        .map_err(|_| KeyError::Internal("the private key cannot be encrypted"))?;
    let content = Content {
        kdf: Kdf { name: KDF.to_owned(), params: COST, salt: BASE64.encode(salt) },
        cipher: Cipher { name: CIPHER.to_owned(), nonce: BASE64.encode(nonce) },
        ciphertext: BASE64.encode(ciphertext),
    };
    serde_json::to_vec(&content).map_err(|_| KeyError::Internal("the private key cannot be written as JSON"))
}

fn cipher(password: &str, salt: &[u8], cost: Cost) -> Result<XSalsa20Poly1305, KeyError> {
    let log_n = u8::try_from(cost.n.trailing_zeros()).unwrap_or(u8::MAX);
    let is_fair = cost.n.is_power_of_two()
        && (1..=MAX_LOG_N).contains(&log_n)
        && (1..=MAX_R).contains(&cost.r)
        && (1..=MAX_P).contains(&cost.p);
    let params =
        Some(cost).filter(|_| is_fair).and_then(|cost| scrypt::Params::new(log_n, cost.r, cost.p, KEY).ok());
    let params = params
        .ok_or_else(|| malformed("it asks for more work than a key does, or for none that scrypt knows"))?;
    let mut key = vec![0; KEY];
    let derived = scrypt::scrypt(password.as_bytes(), salt, &params, &mut key);
    let key = Secret::new(key);
    derived.map_err(|_| KeyError::Internal("scrypt makes no key of the password"))?;
    Ok(XSalsa20Poly1305::new(Key::from_slice(key.expose())))
}
