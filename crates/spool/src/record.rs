//! How a piece of a file is told to be whole: `length: u32 LE, crc32: u32 LE, content`.

/// Bytes before the content.
pub(crate) const HEADER: usize = 8;

/// Appends a record that holds `parts` one after the other. `None` if that is more than 4 GiB.
pub(crate) fn encode(out: &mut Vec<u8>, parts: &[&[u8]]) -> Option<()> {
    let length = u32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).ok()?;
    let mut checksum = crc32fast::Hasher::new();
    for part in parts {
        checksum.update(part);
    }
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum.finalize().to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    Some(())
}

/// The content of the first record of `bytes`, and what follows it. `None` where no whole record begins.
pub(crate) fn decode(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (length, checksum) = header.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let checksum = u32::from_le_bytes(checksum.try_into().ok()?);
    let (content, rest) = rest.split_at_checked(length)?;
    // No record is empty: a run of zeros, as a file system leaves behind, would be a whole one.
    (length > 0 && crc32fast::hash(content) == checksum).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for content in contents {
            encode(&mut out, &[content]).unwrap();
        }
        out
    }

    fn decoded(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut contents = Vec::new();
        while let Some((content, rest)) = decode(bytes) {
            contents.push(content.to_vec());
            bytes = rest;
        }
        contents
    }

    #[test]
    fn a_run_of_zeros_is_no_record() {
        assert_eq!(decode(&[0; 64]), None);
    }

    proptest! {
        /// Wherever the writing stopped, exactly the records before that are read.
        #[test]
        fn reads_up_to_where_it_was_cut(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&contents);
            prop_assert_eq!(&decoded(&bytes), &contents);
            let cut = cut.index(bytes.len() + 1);
            let mut ends = contents.iter().scan(0, |end, content| { *end += HEADER + content.len(); Some(*end) });
            let whole = ends.by_ref().take_while(|end| *end <= cut).count();
            prop_assert_eq!(&decoded(&bytes[..cut]), &contents[..whole]);
        }

        /// A flipped bit ends the reading before the record that has it.
        #[test]
        fn notices_a_flipped_bit(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = encoded(&contents);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let mut ends = contents.iter().scan(0, |end, content| { *end += HEADER + content.len(); Some(*end) });
            let before = ends.by_ref().take_while(|end| *end <= at).count();
            let read = decoded(&bytes);
            prop_assert_eq!(&read[..before], &contents[..before]);
            prop_assert!(read.get(before).is_none_or(|content| *content != contents[before]));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            decoded(&bytes);
        }
    }
}
