//! PEM (RFC 7468), with errors that say what to do.

use ::pem::{EncodeConfig, LineEnding, Pem};

use super::KeyError;

/// Larger is no key, nor a chain of certificates.
const MAX_TEXT: usize = 256 * 1024;
const MAX_BLOCKS: usize = 64;

/// What stands between a BEGIN and its END.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) content: Vec<u8>,
}

/// All blocks of a text; what stands between them is passed over.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, KeyError> {
    let bad = |reason: String| KeyError::BadPem { reason };
    if text.len() > MAX_TEXT {
        return Err(bad(format!("it is larger than {MAX_TEXT} bytes")));
    }
    // The parser passes over a block that is not whole: it must not look as if there were none.
    let begun = text.matches("-----BEGIN ").count();
    let blocks = ::pem::parse_many(text).map_err(|error| bad(error.to_string()))?;
    if blocks.len() != begun {
        return Err(bad("a block has no end that fits its begin".to_owned()));
    }
    if blocks.len() > MAX_BLOCKS {
        return Err(bad(format!("it has more than {MAX_BLOCKS} blocks")));
    }
    let block = |block: Pem| Block { label: block.tag().to_owned(), content: block.into_contents() };
    Ok(blocks.into_iter().map(block).collect())
}

/// The only block of a text.
pub(super) fn only(text: &str, wanted: &'static str, label: &'static str) -> Result<Block, KeyError> {
    let mut blocks = blocks(text)?;
    match (blocks.len(), blocks.pop()) {
        (1, Some(block)) => Ok(block),
        (0, _) => Err(KeyError::NoPem { wanted, label }),
        (count, _) => Err(KeyError::Several { count, wanted }),
    }
}

pub(super) fn encode(label: &str, content: impl Into<Vec<u8>>) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ::pem::encode_config(&Pem::new(label, content), lines)
}
