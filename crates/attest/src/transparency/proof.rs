//! That the log's tree has an entry (RFC 6962, section 2.1.1), and that the log stands by that tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::rekor::InclusionProof;
use crate::roots::LogKey;

/// Of a tree with 2⁶⁴ leaves.
const MAX_HASHES: usize = 64;
/// In front of the contents of a leaf, and of two hashes.
const LEAF: u8 = 0;
const NODE: u8 = 1;
/// Of the key's hint in front of a note's signature, in bytes.
const HINT: usize = 4;

type Hash = [u8; 32];

/// `body` is the entry as the log has it.
pub(super) fn check(proof: &InclusionProof, body: &[u8], keys: &[LogKey]) -> Result<(), String> {
    let root = checkpoint(&proof.checkpoint, proof.tree_size, keys)?;
    let mut path = Vec::new();
    for hash in proof.hashes.iter().take(MAX_HASHES + 1) {
        let bytes = data_encoding::HEXLOWER.decode(hash.as_bytes()).unwrap_or_default();
        path.push(
            Hash::try_from(bytes).map_err(|_| "the log's proof of inclusion holds no hash".to_owned())?,
        );
    }
    let leaf = Sha256::new().chain_update([LEAF]).chain_update(body).finalize().into();
    if root_of(leaf, proof.log_index, proof.tree_size, &path) == Some(root) {
        Ok(())
    } else {
        Err("the log's proof does not lead from its entry to its tree".to_owned())
    }
}

/// The root that follows from a leaf and its path (RFC 9162, section 2.1.3.2).
fn root_of(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size || path.len() > MAX_HASHES {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut root = leaf;
    for hash in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            root = parent(hash, &root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = parent(&root, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

/// The root in a signed note: origin, size and root on a line each, an empty line, signatures.
fn checkpoint(note: &str, size: u64, keys: &[LogKey]) -> Result<Hash, String> {
    let unreadable = || "the log's checkpoint cannot be read".to_owned();
    let (text, signatures) = note.split_once("\n\n").ok_or_else(unreadable)?;
    let text = format!("{text}\n");
    let is_signed = signatures.lines().filter_map(|line| line.strip_prefix("\u{2014} ")).any(|line| {
        let signature = line.split_once(' ').and_then(|(_, base64)| BASE64.decode(base64).ok());
        let signature = signature.unwrap_or_default();
        let signature = signature.get(HINT..).unwrap_or_default();
        keys.iter().any(|log| log.key.verify(text.as_bytes(), signature).is_ok())
    });
    if !is_signed {
        return Err("the log's checkpoint is not signed by a known log".to_owned());
    }
    let mut lines = text.lines().skip(1);
    let stated = lines.next().and_then(|line| line.parse::<u64>().ok()).ok_or_else(unreadable)?;
    if stated != size {
        return Err("the log's checkpoint is of a tree of another size than its proof".to_owned());
    }
    let root = lines.next().and_then(|line| BASE64.decode(line).ok()).ok_or_else(unreadable)?;
    Hash::try_from(root).map_err(|_| unreadable())
}
