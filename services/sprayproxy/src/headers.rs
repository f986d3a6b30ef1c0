//! What of a request's header is for the back ends. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Between us and the caller alone (RFC 9110, 7.6.1), and what is set anew for each back end.
const OURS: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers from end to end, as they came, with the caller's address at the end of `X-Forwarded-For`.
pub(crate) fn end_to_end(headers: &HeaderMap, caller: IpAddr) -> HeaderMap {
    let named = named_by_connection(headers);
    let mut kept = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        let is_ours = OURS.contains(name) || name.as_str().starts_with("proxy-") || named.contains(name);
        if !is_ours && *name != FORWARDED_FOR {
            kept.append(name.clone(), value.clone());
        }
    }
    let before = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let caller = caller.to_canonical().to_string();
    let chain = before.chain([caller.as_bytes()]).collect::<Vec<_>>().join(&b", "[..]);
    if let Ok(chain) = HeaderValue::from_bytes(&chain) {
        kept.insert(FORWARDED_FOR, chain);
    }
    kept
}

/// A sender may not have its signature dropped on the way.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// As pairs of texts that JSON can hold. Bytes beyond ASCII, which are rare, become the characters of the same number.
pub(crate) fn to_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Of what [`to_pairs`] made; what cannot be one is dropped.
pub(crate) fn from_pairs(pairs: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        if let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), value) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        from_pairs(&pairs)
    }

    fn caller() -> IpAddr {
        "::ffff:192.0.2.1".parse().unwrap()
    }

    #[test]
    fn keeps_what_is_from_end_to_end_and_drops_what_is_not() {
        let came = headers(&[
            ("host", "spray.test"),
            ("x-hub-signature-256", "sha256=ab"),
            ("x-github-event", "push"),
            ("content-type", "application/json"),
            ("user-agent", "GitHub-Hookshot/1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("x-many", "a"),
            ("x-many", "b"),
        ]);
        let expected = headers(&[
            ("x-hub-signature-256", "sha256=ab"),
            ("x-github-event", "push"),
            ("content-type", "application/json"),
            ("user-agent", "GitHub-Hookshot/1"),
            ("x-many", "a"),
            ("x-many", "b"),
            ("x-forwarded-for", "192.0.2.1"),
        ]);
        assert_eq!(end_to_end(&came, caller()), expected);
    }

    #[test]
    fn appends_the_caller_to_who_was_before() {
        let came = headers(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "10.0.0.1")]);
        assert_eq!(end_to_end(&came, caller())["x-forwarded-for"], "203.0.113.9, 10.0.0.1, 192.0.2.1");
    }

    proptest! {
        /// What waits on disk is sent as it came.
        #[test]
        fn pairs_read_back(values in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", prop::collection::vec(0x20_u8..=0xff, 0..20)), 0..8)) {
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                headers.append(name.parse::<HeaderName>().unwrap(), value);
            }
            prop_assert_eq!(from_pairs(&to_pairs(&headers)), headers);
        }

        /// Whatever a stranger sends: no panic, and no header of the connection gets through.
        #[test]
        fn lets_nothing_of_the_connection_through(pairs in prop::collection::vec(("(connection|te|upgrade|proxy-[a-z]{1,4}|keep-alive|transfer-encoding|content-length|host|x-[a-z]{1,3})", "[ -~]{0,20}"), 0..12)) {
            let pairs: Vec<(String, String)> = pairs;
            let came = from_pairs(&pairs);
            let kept = end_to_end(&came, caller());
            for name in kept.keys() {
                prop_assert!(!OURS.contains(name) && !name.as_str().starts_with("proxy-"), "{}", name);
            }
            for name in named_by_connection(&came) {
                prop_assert!(name == FORWARDED_FOR || !kept.contains_key(&name), "{}", name);
            }
        }
    }
}
