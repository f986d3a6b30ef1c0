//! Programs: the sections of an ELF file in which toolchains say what they linked.

use std::io::{Read, Seek};

use object::read::{File, ReadCache};
use object::{Object as _, ObjectSection as _};

use super::Unreadable;

/// Of one section.
const MAX_SECTION: u64 = 16 << 20;

#[derive(Debug, Default)]
pub(in super::super) struct Sections {
    pub(in super::super) go: Option<Vec<u8>>,
    pub(in super::super) rust: Option<Vec<u8>>,
}

/// Reads headers and these sections only. What is no complete ELF file has none.
pub(in super::super) fn sections(file: &mut (impl Read + Seek)) -> Result<Sections, Unreadable> {
    let cache = ReadCache::new(file);
    let Ok(program) = File::parse(&cache) else { return Ok(Sections::default()) };
    let content = |name: &str| {
        let Some(section) = program.section_by_name(name) else { return Ok(None) };
        if section.size() > MAX_SECTION {
            return Err(Unreadable::new(format!("its section {name} has more than 16 MiB")));
        }
        section.data().map(<[u8]>::to_vec).map(Some).map_err(Unreadable::new)
    };
    Ok(Sections { go: content(".go.buildinfo")?, rust: content(".dep-v0")? })
}
