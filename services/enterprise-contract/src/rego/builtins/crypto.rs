//! Digests and certificates, as OPA's `crypto.*`.

use aws_lc_rs::{constant_time, digest, hmac};
use regorus::Value;
use serde_json::json;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer as _, ParsedExtension, Pem};

pub(super) fn sha1(arguments: &[Value]) -> Option<Value> {
    hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, &arguments[0])
}

pub(super) fn sha256(arguments: &[Value]) -> Option<Value> {
    hash(&digest::SHA256, &arguments[0])
}

fn hash(algorithm: &'static digest::Algorithm, text: &Value) -> Option<Value> {
    let text = text.as_string().ok()?;
    Some(Value::from(hex(digest::digest(algorithm, text.as_bytes()).as_ref())))
}

pub(super) fn hmac_sha1(arguments: &[Value]) -> Option<Value> {
    sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, arguments)
}

pub(super) fn hmac_sha256(arguments: &[Value]) -> Option<Value> {
    sign(hmac::HMAC_SHA256, arguments)
}

pub(super) fn hmac_sha512(arguments: &[Value]) -> Option<Value> {
    sign(hmac::HMAC_SHA512, arguments)
}

fn sign(algorithm: hmac::Algorithm, arguments: &[Value]) -> Option<Value> {
    let (text, key) = (arguments[0].as_string().ok()?, arguments[1].as_string().ok()?);
    let tag = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes());
    Some(Value::from(hex(tag.as_ref())))
}

pub(super) fn hmac_equal(arguments: &[Value]) -> Option<Value> {
    let (one, other) = (arguments[0].as_string().ok()?, arguments[1].as_string().ok()?);
    Some(Value::from(constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()))
}

/// Certificates of a PEM text, or of base64 of PEM or DER, in the member names of Go's `x509.Certificate` as far as policies
/// read them. Nothing is verified.
pub(super) fn parse_certificates(arguments: &[Value]) -> Option<Value> {
    let text = arguments[0].as_string().ok()?;
    let decoded = if text.trim_start().starts_with("-----BEGIN") {
        text.as_bytes().to_vec()
    } else {
        data_encoding::BASE64.decode(text.trim().as_bytes()).ok()?
    };
    let ders: Vec<Vec<u8>> = if decoded.trim_ascii_start().starts_with(b"-----BEGIN") {
        Pem::iter_from_buffer(&decoded)
            .map(|block| block.map(|block| block.contents))
            .collect::<Result<_, _>>()
            .ok()?
    } else {
        let mut ders = Vec::new();
        let mut rest = decoded.as_slice();
        while !rest.is_empty() {
            let (after, _) = X509Certificate::from_der(rest).ok()?;
            ders.push(rest[..rest.len() - after.len()].to_vec());
            rest = after;
        }
        ders
    };
    let certificates: Option<Vec<serde_json::Value>> = ders.iter().map(|der| certificate(der)).collect();
    certificates.filter(|found| !found.is_empty()).map(|found| Value::from(serde_json::Value::from(found)))
}

fn certificate(der: &[u8]) -> Option<serde_json::Value> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let extensions: Vec<_> = certificate
        .extensions()
        .iter()
        .map(|extension| {
            json!({
                "Id": numbers(&extension.oid),
                "Critical": extension.critical,
                "Value": data_encoding::BASE64.encode(extension.value),
            })
        })
        .collect();
    let (mut dns, mut mail, mut uris, mut addresses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut usage, mut extended, mut is_ca) = (0, Vec::new(), false);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(found) => usage = found.flags,
            ParsedExtension::ExtendedKeyUsage(found) => extended = extended_usages(found),
            ParsedExtension::BasicConstraints(found) => is_ca = found.ca,
            ParsedExtension::SubjectAlternativeName(names) => {
                use x509_parser::prelude::GeneralName;
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => dns.push(*name),
                        GeneralName::RFC822Name(name) => mail.push(*name),
                        GeneralName::URI(name) => uris.push(*name),
                        GeneralName::IPAddress(bytes) => addresses.push(data_encoding::BASE64.encode(bytes)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(json!({
        "Raw": data_encoding::BASE64.encode(der),
        "Version": certificate.version().0 + 1,
        "SerialNumber": certificate.tbs_certificate.serial.to_string(),
        "Subject": name(certificate.subject()),
        "Issuer": name(certificate.issuer()),
        "NotBefore": time(&certificate.validity().not_before)?,
        "NotAfter": time(&certificate.validity().not_after)?,
        "KeyUsage": usage,
        "ExtKeyUsage": extended,
        "IsCA": is_ca,
        "Extensions": extensions,
        "DNSNames": dns,
        "EmailAddresses": mail,
        "URIStrings": uris,
        "IPAddresses": addresses,
    }))
}

fn numbers(oid: &x509_parser::der_parser::Oid<'_>) -> Vec<u64> {
    oid.iter().map(Iterator::collect).unwrap_or_default()
}

/// Go's numbers of extended key usages; those without one are left out.
fn extended_usages(found: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Vec<u8> {
    [found.any, found.server_auth, found.client_auth, found.code_signing, found.email_protection]
        .into_iter()
        .zip(0..)
        .filter_map(|(is_set, number)| is_set.then_some(number))
        .chain(found.time_stamping.then_some(8))
        .chain(found.ocsp_signing.then_some(9))
        .collect()
}

fn name(name: &x509_parser::x509::X509Name<'_>) -> serde_json::Value {
    let all = |found: Vec<&x509_parser::x509::AttributeTypeAndValue<'_>>| -> Vec<String> {
        found.into_iter().filter_map(|value| value.as_str().ok().map(str::to_owned)).collect()
    };
    json!({
        "CommonName": all(name.iter_common_name().collect()).into_iter().next().unwrap_or_default(),
        "Organization": all(name.iter_organization().collect()),
        "OrganizationalUnit": all(name.iter_organizational_unit().collect()),
        "Country": all(name.iter_country().collect()),
        "Locality": all(name.iter_locality().collect()),
        "Province": all(name.iter_state_or_province().collect()),
    })
}

fn time(time: &x509_parser::time::ASN1Time) -> Option<String> {
    Some(jiff::Timestamp::from_second(time.timestamp()).ok()?.to_string())
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
