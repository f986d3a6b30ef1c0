//! What a binary's ELF header says: whether it can run where there is nothing but itself.
use anyhow::ensure;

/// Offsets and values of the ELF64 format, little endian.
const MACHINE_AT: usize = 18;
const PROGRAM_HEADERS_AT: usize = 32;
const PROGRAM_HEADER_SIZE_AT: usize = 54;
const PROGRAM_HEADER_COUNT_AT: usize = 56;
const INTERPRETER: u32 = 3;

/// Architecture of a static binary in the words of OCI; an error when it needs a dynamic loader, which our images have not.
pub fn architecture(content: &[u8]) -> anyhow::Result<&'static str> {
    ensure!(
        content.get(..6) == Some(b"\x7fELF\x02\x01"),
        "no ELF program for a 64-bit little endian machine"
    );
    let architecture = match number(content, MACHINE_AT, 2)? {
        0x3e => "amd64",
        0xb7 => "arm64",
        other => anyhow::bail!("built for machine {other:#x}; images are made for x86-64 and aarch64"),
    };
    let headers = number(content, PROGRAM_HEADERS_AT, 8)?;
    let size = number(content, PROGRAM_HEADER_SIZE_AT, 2)?;
    for index in 0..number(content, PROGRAM_HEADER_COUNT_AT, 2)? {
        let kind = number(content, headers.saturating_add(index.saturating_mul(size)), 4)?;
        ensure!(
            kind != INTERPRETER as usize,
            "linked dynamically, but its image holds no libraries: build with the `crt-static` of .cargo/config.toml \
             (an own RUSTFLAGS variable hides it)"
        );
    }
    Ok(architecture)
}

fn number(content: &[u8], at: usize, length: usize) -> anyhow::Result<usize> {
    let bytes = at.checked_add(length).and_then(|end| content.get(at..end));
    let bytes = bytes.ok_or_else(|| anyhow::anyhow!("the program is cut short"))?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of this kind behind it.
    fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut content = b"\x7fELF\x02\x01".to_vec();
        content.resize(64, 0);
        content[MACHINE_AT..][..2].copy_from_slice(&machine.to_le_bytes());
        content[PROGRAM_HEADERS_AT] = 64;
        content[PROGRAM_HEADER_SIZE_AT] = 56;
        content[PROGRAM_HEADER_COUNT_AT] = 1;
        content.extend(kind.to_le_bytes());
        content
    }

    #[test]
    fn static_programs_are_taken() {
        assert_eq!(architecture(&elf(0x3e, 1)).unwrap(), "amd64");
        assert_eq!(architecture(&elf(0xb7, 1)).unwrap(), "arm64");
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        let refusal = |content: &[u8]| architecture(content).unwrap_err().to_string();
        assert!(refusal(&elf(0x3e, INTERPRETER)).contains("linked dynamically"));
        assert!(refusal(&elf(0x08, 1)).contains("0x8"));
        assert!(refusal(&elf(0x3e, 1)[..66]).contains("cut short"));
        assert!(refusal(b"#!/bin/sh").contains("no ELF"));
    }
}
