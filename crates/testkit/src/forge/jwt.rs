//! JSON web tokens of GitHub Apps: RS256 only (RFC 7519, RFC 7518 section 3.3).

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::exchange::{base64, base64_url, from_base64_url};

/// The longest that GitHub lets a token live.
const LONGEST: i64 = 600;

/// The key pair of a GitHub App. GitHub has the public half, the service the private one.
#[derive(Debug)]
pub struct AppKey {
    pair: RsaKeyPair,
    private_pem: String,
}

impl AppKey {
    /// A new key of 2048 bits. Takes a tenth of a second.
    pub fn generate() -> anyhow::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).context("generate an RSA key")?;
        let pkcs8: Pkcs8V1Der<'static> = pair.as_der().context("encode an RSA key")?;
        let pkcs1 = pkcs1(pkcs8.as_ref()).context("PKCS#8 without a key")?;
        let text = base64(pkcs1);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let label = "RSA PRIVATE KEY";
        let private_pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
        Ok(Self { pair, private_pem })
    }

    /// As GitHub hands it out: PKCS#1 in PEM.
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// For [`super::GitHub::register_app`]: PKCS#1 in DER.
    pub fn public_der(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// What a service sends: valid from a minute ago for five minutes.
    pub fn jwt(&self, app: u64, now: Timestamp) -> anyhow::Result<String> {
        let now = now.as_second();
        self.sign(&json!({"iss": app.to_string(), "iat": now - 60, "exp": now + 240}))
    }

    /// Any claims, for tests of those that are refused.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let signed = format!(
            "{}.{}",
            base64_url(header.to_string().as_bytes()),
            base64_url(claims.to_string().as_bytes())
        );
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .context("sign a JWT")?;
        Ok(format!("{signed}.{}", base64_url(&signature)))
    }
}

/// The key within PKCS#8: what its last element, an octet string, holds.
fn pkcs1(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut rest = element(pkcs8)?.0;
    let mut content = rest;
    while !rest.is_empty() {
        (content, rest) = element(rest)?;
    }
    Some(content)
}

/// Content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

/// Why GitHub refuses a token, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

const UNREADABLE: Refused = Refused("A JSON web token could not be decoded");
const ISSUED: Refused = Refused(
    "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
);
const EXPIRES: Refused = Refused(
    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
);
const TOO_FAR: Refused = Refused("'Expiration time' claim ('exp') is too far in the future");

/// Whom a token says it is from, before anything is verified.
pub(super) fn issuer(token: &str) -> Result<String, Refused> {
    match &claims(token)?["iss"] {
        Value::String(issuer) => Ok(issuer.clone()),
        Value::Number(issuer) => Ok(issuer.to_string()),
        _ => Err(UNREADABLE),
    }
}

/// Whether a token is signed by this key and good now.
pub(super) fn verify(token: &str, public_key: &[u8], now: Timestamp) -> Result<(), Refused> {
    let (signed, signature) = token.rsplit_once('.').ok_or(UNREADABLE)?;
    let header = signed.split('.').next().and_then(from_base64_url).ok_or(UNREADABLE)?;
    let header: Value = serde_json::from_slice(&header).map_err(|_| UNREADABLE)?;
    if header["alg"] != "RS256" {
        return Err(UNREADABLE);
    }
    let signature = from_base64_url(signature).ok_or(UNREADABLE)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| UNREADABLE)?;
    let claims = claims(token)?;
    let (issued, expires, now) = (claims["iat"].as_i64(), claims["exp"].as_i64(), now.as_second());
    // A minute for clocks that differ.
    issued.filter(|issued| *issued <= now + 60).ok_or(ISSUED)?;
    let expires = expires.filter(|expires| *expires > now).ok_or(EXPIRES)?;
    if expires - now > LONGEST { Err(TOO_FAR) } else { Ok(()) }
}

fn claims(token: &str) -> Result<Value, Refused> {
    let claims = token.split('.').nth(1).and_then(from_base64_url).ok_or(UNREADABLE)?;
    serde_json::from_slice(&claims).map_err(|_| UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: i64 = 1_700_000_000;

    #[rstest]
    #[case::good(json!({"iss": 7, "iat": NOW - 60, "exp": NOW + 540}), None)]
    #[case::ten_minutes_from_now(json!({"iss": "7", "iat": NOW - 60, "exp": NOW + 600}), None)]
    #[case::longer(json!({"iss": 7, "iat": NOW, "exp": NOW + 601}), Some(TOO_FAR))]
    #[case::expired(json!({"iss": 7, "iat": NOW - 300, "exp": NOW}), Some(EXPIRES))]
    #[case::expiry_as_text(json!({"iss": 7, "iat": NOW, "exp": "soon"}), Some(EXPIRES))]
    #[case::from_the_future(json!({"iss": 7, "iat": NOW + 61, "exp": NOW + 300}), Some(ISSUED))]
    #[case::never_issued(json!({"iss": 7, "exp": NOW + 300}), Some(ISSUED))]
    fn checks_claims(#[case] claims: Value, #[case] refused: Option<Refused>) {
        let key = AppKey::generate().unwrap();
        let now = Timestamp::from_second(NOW).unwrap();
        let token = key.sign(&claims).unwrap();
        assert_eq!(issuer(&token).unwrap(), "7");
        assert_eq!(verify(&token, &key.public_der(), now).err(), refused);
    }

    #[test]
    fn checks_signature_and_algorithm() {
        let (key, other) = (AppKey::generate().unwrap(), AppKey::generate().unwrap());
        let now = Timestamp::from_second(NOW).unwrap();
        let token = key.jwt(7, now).unwrap();
        assert_eq!(verify(&token, &key.public_der(), now), Ok(()));
        assert_eq!(verify(&token, &other.public_der(), now), Err(UNREADABLE));
        let (_, rest) = token.split_once('.').unwrap();
        let unsigned = format!("{}.{rest}", base64_url(br#"{"alg":"none"}"#));
        assert_eq!(verify(&unsigned, &key.public_der(), now), Err(UNREADABLE));
    }

    #[test]
    fn hands_the_private_key_out_as_github_does() {
        let key = AppKey::generate().unwrap();
        let pem = key.private_pem();
        assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "{pem}");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = super::super::exchange::from_base64(&body).unwrap();
        // RsaKeyPair::from_der reads PKCS#1.
        let read = RsaKeyPair::from_der(&der).unwrap();
        assert_eq!(read.public_key().as_ref(), key.public_der());
    }
}
