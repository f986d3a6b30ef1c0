//! Makes serving certificates and tells when a new one is due. No I/O, no clock.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use super::{CertificateBundle, Invalid, chain, provider};
use crate::Secret;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("make a webhook certificate for {names:?}")]
    Make { names: Vec<String>, source: rcgen::Error },
    #[error("check the webhook certificate just made for {names:?}")]
    Check { names: Vec<String>, source: Invalid },
}

/// Clocks that are up to this much behind ours accept a fresh certificate.
const BACKDATED: Duration = Duration::from_mins(5);

/// What to do about the certificate that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Keep,
    /// The present one still serves: others may only lose it when the new one is trusted.
    Renew,
    /// There is none that anybody would trust.
    Replace {
        why: String,
    },
}

/// A new one is due at 80 % of `lifetime`, or when the present one does not fit.
pub(super) fn decide(
    current: Option<&CertificateBundle>,
    names: &[String],
    lifetime: Duration,
    now: Timestamp,
) -> Step {
    let Some(current) = current else { return Step::Replace { why: "there is none".to_owned() } };
    if let Err(why) = check(current, names, now) {
        return Step::Replace { why };
    }
    let left = Duration::try_from(current.not_after.duration_since(now)).unwrap_or_default();
    if left <= lifetime / 5 { Step::Renew } else { Step::Keep }
}

/// Looks at the certificate as the API server will.
fn check(bundle: &CertificateBundle, names: &[String], now: Timestamp) -> Result<(), String> {
    let show = |error: &dyn std::fmt::Display| error.to_string();
    let mut roots = RootCertStore::empty();
    for ca in chain(&bundle.ca_pem).map_err(|e| show(&e))? {
        roots.add(ca).map_err(|e| show(&e))?;
    }
    let chain = chain(&bundle.cert_pem).map_err(|e| show(&e))?;
    let (leaf, intermediates) = chain.split_first().ok_or("it is empty")?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|e| show(&e))?;
    let now = UnixTime::since_unix_epoch(since_1970(now));
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&leaf, &roots, intermediates, now, algorithms)
        .map_err(|e| show(&e))?;
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|e| show(&e))?;
        verify_server_name(&leaf, &name).map_err(|e| show(&e))?;
    }
    Ok(())
}

/// A certificate for `names` (DNS names or IP addresses), signed by an authority made for this one alone, whose key
/// is forgotten before this returns. The authority of `previous` stays trusted, as replicas serve with it for a while.
pub(super) fn issue(
    names: &[String],
    lifetime: Duration,
    now: Timestamp,
    previous: Option<&CertificateBundle>,
) -> Result<CertificateBundle, Error> {
    let failed = |source| Error::Make { names: names.to_vec(), source };
    let not_after = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    let valid = |common_name: String, names: &[String]| -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now).saturating_sub(BACKDATED);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(not_after);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        Ok(params)
    };

    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    // Another name each time, so that readers that find an issuer by its name do not mistake one for the other.
    let mut authority = valid(format!("webhook authority {}", now.as_millisecond()), &[]).map_err(failed)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut ca_pem = authority.self_signed(&authority_key).map_err(failed)?.pem();
    let authority = rcgen::Issuer::new(authority, authority_key);

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut leaf = valid("webhook".to_owned(), names).map_err(failed)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let cert_pem = leaf.signed_by(&key, &authority).map_err(failed)?.pem();

    if let Some(previous) = previous.filter(|previous| previous.not_after > now) {
        ca_pem.push_str(first_certificate(&previous.ca_pem).unwrap_or_default());
    }
    CertificateBundle::parse(ca_pem, cert_pem, Secret::new(key.serialize_pem()))
        .map_err(|source| Error::Check { names: names.to_vec(), source })
}

/// The text of the first certificate in `pem`, with the line end after it.
fn first_certificate(pem: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----\n";
    let from = &pem[pem.find(BEGIN)?..];
    let first = &from[..from.find(END)? + END.len()];
    chain(first).is_ok_and(|certificates| certificates.len() == 1).then_some(first)
}

fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn start() -> Timestamp {
        "2024-03-01T12:00:00Z".parse().unwrap()
    }

    fn after(days: u32) -> Timestamp {
        start() + DAY * days
    }

    fn names() -> Vec<String> {
        ["shop.konflux.svc", "shop.konflux.svc.cluster.local", "127.0.0.1"].map(str::to_owned).to_vec()
    }

    fn issued(previous: Option<&CertificateBundle>) -> CertificateBundle {
        issue(&names(), 90 * DAY, start(), previous).unwrap()
    }

    fn without_ca() -> CertificateBundle {
        CertificateBundle { ca_pem: String::new(), ..issued(None) }
    }

    fn of_another_ca() -> CertificateBundle {
        CertificateBundle { ca_pem: issued(None).ca_pem, ..issued(None) }
    }

    #[derive(Debug, PartialEq)]
    enum Expected {
        Keep,
        Renew,
        Replace,
    }

    #[rstest]
    #[case::none(None, &names(), after(0), Expected::Replace)]
    #[case::fresh(Some(issued(None)), &names(), after(0), Expected::Keep)]
    #[case::issued_by_a_clock_ahead_of_ours(Some(issued(None)), &names(), start() - Duration::from_secs(299), Expected::Keep)]
    #[case::before_80_percent(Some(issued(None)), &names(), after(71), Expected::Keep)]
    #[case::at_80_percent(Some(issued(None)), &names(), after(72), Expected::Renew)]
    #[case::last_day(Some(issued(None)), &names(), after(89), Expected::Renew)]
    #[case::expired(Some(issued(None)), &names(), after(91), Expected::Replace)]
    #[case::not_yet_valid(Some(issued(None)), &names(), start() - DAY, Expected::Replace)]
    #[case::asked_for_fewer_names(Some(issued(None)), &names()[..1], after(0), Expected::Keep)]
    #[case::lacks_a_name(Some(issued(None)), &["other.konflux.svc".to_owned()], after(0), Expected::Replace)]
    #[case::lacks_an_address(Some(issued(None)), &["127.0.0.2".to_owned()], after(0), Expected::Replace)]
    #[case::ca_missing(Some(without_ca()), &names(), after(0), Expected::Replace)]
    #[case::ca_of_another(Some(of_another_ca()), &names(), after(0), Expected::Replace)]
    fn decides(
        #[case] current: Option<CertificateBundle>,
        #[case] names: &[String],
        #[case] now: Timestamp,
        #[case] expected: Expected,
    ) {
        let step = decide(current.as_ref(), names, 90 * DAY, now);
        let kind = match &step {
            Step::Keep => Expected::Keep,
            Step::Renew => Expected::Renew,
            Step::Replace { .. } => Expected::Replace,
        };
        assert_eq!(kind, expected, "{step:?}");
    }

    #[test]
    fn trusts_the_previous_authority_and_no_older_one() {
        let first = issued(None);
        let second = issued(Some(&first));
        let third = issued(Some(&second));
        assert_eq!(chain(&third.ca_pem).unwrap().len(), 2);
        let trusts = |by: &CertificateBundle, whose: &CertificateBundle| {
            check(&CertificateBundle { ca_pem: by.ca_pem.clone(), ..whose.clone() }, &names(), start())
                .is_ok()
        };
        assert!(trusts(&third, &third));
        assert!(trusts(&third, &second));
        assert!(!trusts(&third, &first));
        assert!(!trusts(&second, &third));
    }

    #[test]
    fn forgets_an_expired_authority() {
        let old = issued(None);
        let new = issue(&names(), 90 * DAY, after(90), Some(&old)).unwrap();
        assert_eq!(chain(&new.ca_pem).unwrap().len(), 1);
    }

    #[test]
    fn leaves_out_what_is_no_certificate() {
        let odd = CertificateBundle { ca_pem: "nonsense".to_owned(), ..issued(None) };
        assert_eq!(chain(&issued(Some(&odd)).ca_pem).unwrap().len(), 1);
        assert_eq!(first_certificate("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), None);
    }
}
