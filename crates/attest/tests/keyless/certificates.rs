//! Which certificates vouch for a key.

use attest::PrivateKey;
use attest::certificate::{self, BadCertificate, BadIdentity, Checked, Identity};
use jiff::{SignedDuration, Timestamp};
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rstest::rstest;

use crate::sigstore::{ISSUER, Promise, SUBJECT, Sigstore, Wish, moment};

fn anybody() -> Identity {
    Identity::new("", ".*", "", ".*").unwrap()
}

fn checked(wish: &Wish, identity: &Identity, at: Timestamp) -> Result<Checked, BadCertificate> {
    let sigstore = Sigstore::new();
    let key = PrivateKey::generate().unwrap();
    let certificate = sigstore.issue(key.public(), wish);
    let checked = certificate::check(&certificate.leaf, &certificate.chain, identity, &sigstore.roots(), at)?;
    assert_eq!(checked.key, *key.public());
    Ok(checked)
}

#[test]
fn says_who_it_is_for() {
    let says = vec![
        (1, ISSUER.to_owned()),
        (3, "c0ffee".to_owned()),
        (8, ISSUER.to_owned()),
        (21, "https://git.example/runs/7".to_owned()),
    ];
    let checked = checked(&Wish { says, ..Wish::default() }, &anybody(), moment()).unwrap();
    let expected = [
        ("Fulcio GitHub Workflow SHA", "c0ffee"),
        ("Fulcio Issuer", ISSUER),
        ("Fulcio Issuer (V2)", ISSUER),
        ("Fulcio Run Invocation URI", "https://git.example/runs/7"),
        ("Issuer", "CN=intermediate"),
        ("Not After", "2026-03-02T10:10:00Z"),
        ("Not Before", "2026-03-02T10:00:00Z"),
        ("Serial Number", "4a010203"),
        ("Subject Alternative Name", SUBJECT),
    ];
    let metadata: Vec<_> =
        checked.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(metadata, expected);
    assert_eq!(checked.chain.len(), 2);
}

#[rstest]
#[case::before(Wish::default(), -301, "does not lead to a trusted authority")]
#[case::after(Wish::default(), 301, "does not lead to a trusted authority")]
#[case::for_servers(Wish { usage: vec![ExtendedKeyUsagePurpose::ServerAuth], ..Wish::default() }, 0, "does not lead")]
#[case::for_nothing_in_particular(Wish { usage: Vec::new(), ..Wish::default() }, 0, "does not lead")]
#[case::logged_nowhere(Wish { promise: Promise::None, ..Wish::default() }, 0, "holds no signed certificate timestamp")]
#[case::log_is_forged(Wish { promise: Promise::Forged, ..Wish::default() }, 0, "by no known log")]
#[case::log_saw_another(Wish { promise: Promise::Other, ..Wish::default() }, 0, "by no known log")]
#[case::logged_later(Wish { promise: Promise::Late, ..Wish::default() }, 0, "by no known log")]
fn refuses(#[case] wish: Wish, #[case] seconds: i64, #[case] expected: &str) {
    let at = moment() + SignedDuration::from_secs(seconds);
    let error = checked(&wish, &anybody(), at).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case::at_its_first_second(-300)]
#[case::at_its_last_second(300)]
fn is_good_as_long_as_it_says(#[case] seconds: i64) {
    checked(&Wish::default(), &anybody(), moment() + SignedDuration::from_secs(seconds)).unwrap();
}

#[test]
fn another_sigstore_vouches_for_nobody() {
    let key = PrivateKey::generate().unwrap();
    let certificate = Sigstore::new().issue(key.public(), &Wish::default());
    let check =
        |roots| certificate::check(&certificate.leaf, &certificate.chain, &anybody(), &roots, moment());
    // Its chain brings a root of its own, which nobody trusts.
    assert!(matches!(check(Sigstore::new().roots()), Err(BadCertificate::Untrusted { .. })));
    assert_eq!(check(attest::roots::Roots::default()), Err(BadCertificate::NoRoots));
}

#[test]
fn without_logs_of_certificates_none_is_good() {
    let sigstore = Sigstore::new();
    let key = PrivateKey::generate().unwrap();
    let certificate = sigstore.issue(key.public(), &Wish::default());
    let mut roots = attest::roots::Roots::default();
    roots.add_authorities(&sigstore.root).unwrap();
    let error =
        certificate::check(&certificate.leaf, &certificate.chain, &anybody(), &roots, moment()).unwrap_err();
    assert_eq!(error, BadCertificate::NotLogged("no log of certificates is known".to_owned()));
}

#[test]
fn a_changed_bit_is_noticed() {
    let sigstore = Sigstore::new();
    let key = PrivateKey::generate().unwrap();
    let certificate = sigstore.issue(key.public(), &Wish::default());
    let der = crate::sigstore::der(&certificate.leaf);
    for byte in (0..der.len()).step_by(7) {
        let mut der = der.clone();
        der[byte] ^= 0x10;
        let leaf = pem::encode(&pem::Pem::new("CERTIFICATE", der));
        let result = certificate::check(&leaf, &certificate.chain, &anybody(), &sigstore.roots(), moment());
        assert!(result.is_err(), "byte {byte}");
    }
}

#[rstest]
#[case::both_literal((SUBJECT, "", ISSUER, ""), true)]
#[case::both_patterns(("", "^https://git\\.example/org/", "", "issuer\\.example$"), true)]
#[case::literal_and_pattern((SUBJECT, "org", ISSUER, ""), true)]
#[case::literal_without_pattern((SUBJECT, "other", ISSUER, ""), false)]
#[case::other_subject(("https://git.example/org/app", "", ISSUER, ""), false)]
#[case::other_issuer((SUBJECT, "", "https://issuer.example.evil", ""), false)]
#[case::other_issuer_by_pattern((SUBJECT, "", "", "^https://x"), false)]
fn identities(
    #[case] (subject, subject_pattern, issuer, issuer_pattern): (&str, &str, &str, &str),
    #[case] is_good: bool,
) {
    let identity = Identity::new(subject, subject_pattern, issuer, issuer_pattern).unwrap();
    let result = checked(&Wish::default(), &identity, moment());
    match result {
        Ok(_) => assert!(is_good),
        Err(error) => {
            assert!(!is_good, "{error}");
            assert!(error.to_string().contains(SUBJECT) && error.to_string().contains(ISSUER), "{error}");
        }
    }
}

#[rstest]
#[case::mail(SanType::Rfc822Name("dev@example.org".try_into().unwrap()), "dev@example.org")]
#[case::host(SanType::DnsName("build.example.org".try_into().unwrap()), "build.example.org")]
#[case::user(
    SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, 7], "dev!example.org".into())), "dev!example.org"
)]
fn subjects_of_all_kinds(#[case] name: SanType, #[case] subject: &str) {
    let identity = Identity::new(subject, "", ISSUER, "").unwrap();
    checked(&Wish { names: vec![name], ..Wish::default() }, &identity, moment()).unwrap();
}

#[test]
fn the_newer_issuer_counts() {
    let says = vec![(1, ISSUER.to_owned()), (8, "https://other.example".to_owned())];
    let identity = Identity::new(SUBJECT, "", ISSUER, "").unwrap();
    assert!(checked(&Wish { says, ..Wish::default() }, &identity, moment()).is_err());
    let says = vec![(1, ISSUER.to_owned())];
    checked(&Wish { says, ..Wish::default() }, &identity, moment()).unwrap();
    assert!(checked(&Wish { says: Vec::new(), ..Wish::default() }, &identity, moment()).is_err());
}

#[rstest]
#[case("", "", ISSUER, "", BadIdentity::Missing("subject"))]
#[case(SUBJECT, "", "", "", BadIdentity::Missing("issuer"))]
fn half_an_identity_is_none(
    #[case] subject: &str,
    #[case] subject_pattern: &str,
    #[case] issuer: &str,
    #[case] issuer_pattern: &str,
    #[case] expected: BadIdentity,
) {
    assert_eq!(Identity::new(subject, subject_pattern, issuer, issuer_pattern).unwrap_err(), expected);
}

#[test]
fn a_broken_pattern_is_named() {
    let error = Identity::new("", "(", ISSUER, "").unwrap_err().to_string();
    assert!(error.starts_with("subjectRegExp \"(\" is no regular expression"), "{error}");
}

#[rstest]
#[case::nothing("")]
#[case::no_pem("junk")]
#[case::key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")]
#[case::no_der("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
fn junk(#[case] leaf: &str) {
    let result = certificate::check(leaf, "", &anybody(), &Sigstore::new().roots(), moment());
    assert!(matches!(result, Err(BadCertificate::Malformed(_))), "{result:?}");
}

proptest::proptest! {
    /// What strangers put beside a signature: no panic, and never good.
    #[test]
    fn certificates_of_strangers(leaf in proptest::collection::vec(proptest::num::u8::ANY, 0..300), at in proptest::num::i32::ANY) {
        let leaf = pem::encode(&pem::Pem::new("CERTIFICATE", leaf));
        let mut roots = attest::roots::Roots::default();
        roots.add_authorities(ROOT.with(String::clone).as_str()).unwrap();
        let at = Timestamp::from_second(at.into()).unwrap();
        proptest::prop_assert!(certificate::check(&leaf, &leaf, &anybody(), &roots, at).is_err());
    }
}

thread_local! {
    static ROOT: String = Sigstore::new().root;
}
