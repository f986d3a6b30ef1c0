//! Base64 with padding (RFC 4648, section 4).

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(content: &[u8]) -> String {
    let mut text = String::with_capacity(content.len().div_ceil(3) * 4);
    for group in content.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let index = bits >> (18 - 6 * at) & 63;
            text.push(if at <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

/// Line ends are skipped. `None` for anything else that is no base64.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0);
    for byte in text.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        if *byte == b'=' {
            padding += 1;
            continue;
        }
        let value = ALPHABET.iter().position(|letter| letter == byte).filter(|_| padding == 0)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 1;
        if count % 4 == 0 {
            content.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    match (count % 4, padding) {
        (0, 0) => {}
        (2, 2) => content.push((bits >> 4).to_be_bytes()[3]),
        (3, 1) => content.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
        _ => return None,
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", "")]
    #[case("f", "Zg==")]
    #[case("fo", "Zm8=")]
    #[case("foo", "Zm9v")]
    #[case("foobar", "Zm9vYmFy")]
    #[case("u:p\u{ff}", "dTpww78=")]
    fn there_and_back(#[case] plain: &str, #[case] encoded: &str) {
        assert_eq!(encode(plain.as_bytes()), encoded);
        assert_eq!(decode(encoded.as_bytes()).unwrap(), plain.as_bytes());
    }

    #[test]
    fn lines_are_joined_and_others_refused() {
        assert_eq!(decode(b"Zm9v\nYmFy\n").unwrap(), b"foobar");
        for wrong in ["Zg", "Zg=", "Z", "Zg==Zg==", "Z-==", "Zm9v="] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
