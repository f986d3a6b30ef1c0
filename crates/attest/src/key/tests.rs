//! Against keys and signatures of other programs, and each other.

mod known;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rstest::rstest;

use super::{KeyError, PrivateKey, PublicKey, blocks, pem};
use known::{Known, MESSAGE};

fn public(der: &str) -> Result<PublicKey, KeyError> {
    PublicKey::from_pem(&pem::encode("PUBLIC KEY", BASE64.decode(der).unwrap()))
}

#[rstest]
#[case::p256(&known::P256)]
#[case::p384(&known::P384)]
#[case::p521(&known::P521)]
#[case::rsa(&known::RSA)]
#[case::ed25519(&known::ED25519)]
fn verifies_what_openssl_signs_and_names_keys_as_ssh_does(#[case] known: &Known) {
    let key = public(known.der).unwrap();
    assert_eq!(key.key_id(), known.key_id);
    assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
    for signature in known.signatures {
        let signature = BASE64.decode(signature).unwrap();
        key.verify(MESSAGE, &signature).unwrap();
        key.verify(b"massage", &signature).unwrap_err();
        key.verify(b"", &signature).unwrap_err();
        key.verify(MESSAGE, &[]).unwrap_err();
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            key.verify(MESSAGE, &changed).unwrap_err();
        }
        public(if known.key_id == known::P256.key_id { known::P384.der } else { known::P256.der })
            .unwrap()
            .verify(MESSAGE, &signature)
            .unwrap_err();
    }
}

#[test]
fn takes_no_signature_over_another_digest() {
    let signature = BASE64.decode(known::OTHER_DIGEST).unwrap();
    public(known::P256.der).unwrap().verify(MESSAGE, &signature).unwrap_err();
}

#[rstest]
#[case::too_short_rsa(known::RSA_1024, "RSA (of 1024 bits) keys are not supported")]
#[case::other_curve(known::SECP256K1, "not supported")]
#[case::compressed(known::COMPRESSED, "compressed")]
#[case::nothing("", "DER cannot be read")]
fn refuses_keys_that_cannot_be_used(#[case] der: &str, #[case] words: &str) {
    let error = public(der).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn refuses_what_follows_a_key_and_points_off_the_curve() {
    let mut der = BASE64.decode(known::P256.der).unwrap();
    let last = der.len() - 1;
    der[last] ^= 1;
    public(&BASE64.encode(&der)).unwrap_err();
    der[last] ^= 1;
    der.push(0);
    let error = public(&BASE64.encode(&der)).unwrap_err().to_string();
    assert!(error.contains("follows"), "{error}");
}

#[rstest]
#[case::empty("", "BEGIN PUBLIC KEY")]
#[case::words("ssh-rsa AAAA", "BEGIN PUBLIC KEY")]
#[case::certificate(&pem::encode("CERTIFICATE", "x"), "openssl x509")]
#[case::pkcs1(&pem::encode("RSA PUBLIC KEY", "x"), "openssl rsa")]
#[case::private(&pem::encode("PRIVATE KEY", "x"), "secret half")]
#[case::encrypted(&pem::encode("ENCRYPTED SIGSTORE PRIVATE KEY", "x"), "secret half")]
#[case::other(&pem::encode("X509 CRL", "x"), "cosign.pub")]
#[case::two(&format!("{0}{0}", pem::encode("PUBLIC KEY", "x")), "2 PEM blocks")]
#[case::no_end("-----BEGIN PUBLIC KEY-----\nAAAA\n", "no end")]
#[case::other_end("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END CERTIFICATE-----\n", "PEM cannot be read")]
#[case::no_base64("-----BEGIN PUBLIC KEY-----\n%%%%\n-----END PUBLIC KEY-----\n", "PEM cannot be read")]
fn says_what_is_wrong_with_a_file(#[case] text: &str, #[case] words: &str) {
    let error = PublicKey::from_pem(text).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn reads_files_that_an_editor_touched() {
    let key = public(known::P256.der).unwrap();
    let text = format!("# our key\r\n{}\r\n\r\n", key.to_pem().replace('\n', "\r\n"));
    assert_eq!(PublicKey::from_pem(&text).unwrap(), key);
}

#[test]
fn reads_no_file_without_end() {
    let huge = "x".repeat(300 * 1024);
    assert!(blocks(&huge).is_err());
    let many = pem::encode("PUBLIC KEY", "x").repeat(65);
    assert!(blocks(&many).is_err());
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn ed25519() -> Vec<u8> {
    Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn rsa() -> Vec<u8> {
    rsa::KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap().as_ref().to_vec()
}

#[rstest]
#[case::p256(ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING))]
#[case::p384(ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))]
#[case::p521(ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING))]
#[case::ed25519(ed25519())]
#[case::rsa(rsa())]
fn verifies_what_it_signs_also_after_a_password(#[case] pkcs8: Vec<u8>) {
    let key = PrivateKey::from_pem(&pem::encode("PRIVATE KEY", pkcs8)).unwrap();
    let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
    public.verify(MESSAGE, &key.sign(MESSAGE).unwrap()).unwrap();

    let again = PrivateKey::from_encrypted(&key.to_encrypted("secret").unwrap(), "secret").unwrap();
    assert_eq!(again.public(), &public);
    public.verify(MESSAGE, &again.sign(MESSAGE).unwrap()).unwrap();
}

#[test]
fn only_the_password_opens_an_encrypted_key() {
    let key = PrivateKey::generate().unwrap();
    let text = key.to_encrypted("secret").unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{text}");
    for wrong in ["", "Secret", "secret "] {
        assert_eq!(PrivateKey::from_encrypted(&text, wrong).unwrap_err(), KeyError::WrongPassword);
    }
    let old = text.replace("SIGSTORE", "COSIGN");
    assert_eq!(PrivateKey::from_encrypted(&old, "secret").unwrap().public(), key.public());
}

#[rstest]
#[case::work(r#""N":32768"#, r#""N":262144"#, "more work")]
#[case::no_power(r#""N":32768"#, r#""N":32767"#, "more work")]
#[case::one(r#""N":32768"#, r#""N":1"#, "more work")]
#[case::zero(r#""N":32768"#, r#""N":0"#, "more work")]
#[case::memory(r#""r":8"#, r#""r":9"#, "more work")]
#[case::time(r#""p":1"#, r#""p":5"#, "more work")]
#[case::other_kdf(r#""name":"scrypt""#, r#""name":"plain""#, "another way")]
#[case::other_cipher("nacl/secretbox", "none", "another way")]
#[case::nonce(r#""nonce":""#, r#""nonce":"AAAA"#, "nonce")]
#[case::no_json("{", "[", "JSON")]
fn refuses_strange_encryption(#[case] from: &str, #[case] to: &str, #[case] words: &str) {
    let text = PrivateKey::generate().unwrap().to_encrypted("secret").unwrap();
    let content = String::from_utf8(blocks(&text).unwrap().remove(0).content).unwrap();
    assert!(content.contains(from), "{content}");
    let changed = pem::encode("ENCRYPTED SIGSTORE PRIVATE KEY", content.replacen(from, to, 1));
    let error = PrivateKey::from_encrypted(&changed, "secret").unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[rstest]
#[case::sec1("EC PRIVATE KEY", "openssl pkcs8 -topk8")]
#[case::pkcs1("RSA PRIVATE KEY", "openssl pkcs8 -topk8")]
#[case::cosign("ENCRYPTED COSIGN PRIVATE KEY", "password")]
#[case::pkcs8("ENCRYPTED PRIVATE KEY", "decrypt it")]
#[case::public("PUBLIC KEY", "PKCS #8")]
#[case::garbage("PRIVATE KEY", "no private key")]
fn says_which_private_keys_are_taken(#[case] label: &str, #[case] words: &str) {
    let error = PrivateKey::from_pem(&pem::encode(label, "hunter2")).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_plain_key_is_no_encrypted_one() {
    let plain = pem::encode("PRIVATE KEY", ed25519());
    let error = PrivateKey::from_encrypted(&plain, "secret").unwrap_err().to_string();
    assert!(error.contains("right file"), "{error}");
}

#[test]
fn shows_nothing_of_a_private_key() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("PrivateKey {{ public: PublicKey({:?}), .. }}", key.public().key_id())
    );
}
