//! Where trust comes from.

use attest::PrivateKey;
use attest::certificate::{self, Identity};
use attest::roots::{BadRoots, Roots};
use rstest::rstest;

use crate::sigstore::{Sigstore, Wish, moment};

fn is_trusted(sigstore: &Sigstore, roots: &Roots) -> bool {
    let key = PrivateKey::generate().unwrap();
    let certificate = sigstore.issue(key.public(), &Wish::default());
    let identity = Identity::new("", ".*", "", ".*").unwrap();
    // Without a chain: the roots bring the intermediate.
    certificate::check(&certificate.leaf, "", &identity, roots, moment()).is_ok()
}

#[rstest]
#[case::in_its_time("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", true)]
#[case::before_its_time("2026-04-01T00:00:00Z", "2027-01-01T00:00:00Z", false)]
#[case::after_its_time("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", false)]
fn trusted_root(#[case] from: &str, #[case] until: &str, #[case] expected: bool) {
    let sigstore = Sigstore::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("targets")).unwrap();
    let file = folder.path().join("targets/trusted_root.json");
    std::fs::write(file, sigstore.trusted_root(from, until).to_string()).unwrap();
    assert_eq!(is_trusted(&sigstore, &Roots::read(folder.path()).unwrap()), expected);
}

/// Each has a window of its own.
#[rstest]
#[case::authority("/certificateAuthorities/0/validFor/end")]
#[case::log_of_certificates("/ctlogs/0/publicKey/validFor/end")]
fn one_that_is_no_longer_trusted(#[case] pointer: &str) {
    let sigstore = Sigstore::new();
    let mut file = sigstore.trusted_root("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    *file.pointer_mut(pointer).unwrap() = "2026-03-01T00:00:00Z".into();
    assert!(!is_trusted(&sigstore, &Roots::from_trusted_root(&file.to_string()).unwrap()));
}

#[test]
fn single_files() {
    let sigstore = Sigstore::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let key = PrivateKey::generate().unwrap();
    write("fulcio.crt.pem", &sigstore.issue(key.public(), &Wish::default()).chain);
    write("ctfe.pub", &sigstore.certificate_log().to_pem());
    write("rekor.pub", &sigstore.signature_log().to_pem());
    write("README", "not for us");
    assert!(is_trusted(&sigstore, &Roots::read(folder.path()).unwrap()));
}

#[test]
fn nothing_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Roots::read(folder.path()).unwrap_err();
    assert!(
        matches!(error, BadRoots::Nothing { .. }) && error.to_string().contains("ec sigstore initialize"),
        "{error}"
    );
}

#[rstest]
#[case::no_json("targets", "trusted_root.json", "{", "trusted_root.json")]
#[case::no_base64(
    "targets",
    "trusted_root.json",
    r#"{"ctlogs": [{"publicKey": {"rawBytes": "?"}}]}"#,
    "ctlogs[0]"
)]
#[case::no_certificate(
    "targets",
    "trusted_root.json",
    r#"{"certificateAuthorities": [{"certChain": {"certificates": [{"rawBytes": "AAAA"}]}}]}"#,
    "certificateAuthorities[0]"
)]
#[case::no_key("", "rekor.pub", "junk", "rekor.pub")]
fn junk(#[case] folder: &str, #[case] name: &str, #[case] text: &str, #[case] named: &str) {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(top.path().join(folder)).unwrap();
    std::fs::write(top.path().join(folder).join(name), text).unwrap();
    let error = Roots::read(top.path()).unwrap_err().to_string();
    assert!(error.contains(named), "{error}");
}
