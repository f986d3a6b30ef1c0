//! What certificates of keyless signers say, by readable names (specification of `ec`, section 4.3).

use std::collections::BTreeMap;

use jiff::Timestamp;
use x509_parser::der_parser::asn1_rs::{FromDer as _, Utf8String};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

/// Fulcio's arc of object identifiers, with a dot behind.
const FULCIO: &str = "1.3.6.1.4.1.57264.1.";

/// By their last number: those up to 6 are bare text, the others UTF8String.
const EXTENSIONS: [(u8, &str); 20] = [
    (1, "Fulcio Issuer"),
    (2, "Fulcio GitHub Workflow Trigger"),
    (3, "Fulcio GitHub Workflow SHA"),
    (4, "Fulcio GitHub Workflow Name"),
    (5, "Fulcio GitHub Workflow Repository"),
    (6, "Fulcio GitHub Workflow Ref"),
    (ISSUER_V2, "Fulcio Issuer (V2)"),
    (9, "Fulcio Build Signer URI"),
    (10, "Fulcio Build Signer Digest"),
    (11, "Fulcio Runner Environment"),
    (12, "Fulcio Source Repository URI"),
    (13, "Fulcio Source Repository Digest"),
    (14, "Fulcio Source Repository Ref"),
    (15, "Fulcio Source Repository Identifier"),
    (16, "Fulcio Source Repository Owner URI"),
    (17, "Fulcio Source Repository Owner Identifier"),
    (18, "Fulcio Build Config URI"),
    (19, "Fulcio Build Config Digest"),
    (20, "Fulcio Build Trigger"),
    (21, "Fulcio Run Invocation URI"),
];
const ISSUER_V1: u8 = 1;
const ISSUER_V2: u8 = 8;
const LAST_BARE: u8 = 6;
/// Of an alternative name that is neither address nor URI: a user's name.
const USER_NAME: &str = "1.3.6.1.4.1.57264.1.7";

pub(super) fn metadata(certificate: &X509Certificate<'_>) -> BTreeMap<String, String> {
    let validity = certificate.validity();
    let time = |seconds| Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default();
    let fixed = [
        ("Subject", certificate.subject().to_string()),
        ("Subject Alternative Name", alternative_names(certificate).join(", ")),
        ("Issuer", certificate.issuer().to_string()),
        ("Serial Number", data_encoding::HEXLOWER.encode(certificate.raw_serial())),
        ("Not Before", time(validity.not_before.timestamp())),
        ("Not After", time(validity.not_after.timestamp())),
    ];
    let fulcio =
        EXTENSIONS.iter().filter_map(|(number, name)| Some((*name, extension(certificate, *number)?)));
    let all = fixed.into_iter().chain(fulcio).filter(|(_, value)| !value.is_empty());
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Hexadecimal digits of the subject key identifier.
pub(super) fn key_id(certificate: &X509Certificate<'_>) -> String {
    let id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(data_encoding::HEXLOWER.encode(id.0)),
        _ => None,
    });
    id.unwrap_or_default()
}

/// The OpenID provider that knows the subject.
pub(super) fn issuer(certificate: &X509Certificate<'_>) -> Option<String> {
    extension(certificate, ISSUER_V2).or_else(|| extension(certificate, ISSUER_V1))
}

pub(super) fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(text) | GeneralName::DNSName(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::OtherName(oid, value) if oid.to_id_string() == USER_NAME => user_name(value),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// `[0] EXPLICIT UTF8String`, with or without the outer tag.
fn user_name(value: &[u8]) -> Option<String> {
    let inner = match value {
        [0xa0, _, inner @ ..] | inner => inner,
    };
    utf8_string(inner)
}

fn extension(certificate: &X509Certificate<'_>, number: u8) -> Option<String> {
    let wanted = format!("{FULCIO}{number}");
    let found = certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == wanted)?;
    if number <= LAST_BARE {
        return std::str::from_utf8(found.value).ok().map(str::to_owned);
    }
    utf8_string(found.value)
}

fn utf8_string(der: &[u8]) -> Option<String> {
    match Utf8String::from_der(der) {
        Ok(([], text)) => Some(text.as_ref().to_owned()),
        _ => None,
    }
}
