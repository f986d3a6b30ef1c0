//! Names of what the engine makes (specification of the API, section 6). Deterministic: whoever makes a thing twice
//! finds it made.

use sha2::{Digest as _, Sha256};

/// Longest name of a run, a pod, and whatever becomes a label value.
const MAX: usize = 63;

/// How much of the parent's name stays when the whole does not fit.
const HEAD: usize = 31;

/// `parent` and `suffix`, or as much of both as 63 characters hold, told apart by a hash: the name of a run of a task
/// (`-<task>`), of a pod (`-pod`).
///
/// The hash is MD5 because upstream's is: clients compute these names too.
pub fn child(parent: &str, suffix: &str) -> String {
    if parent.len() + suffix.len() <= MAX {
        return format!("{parent}{suffix}");
    }
    if suffix.len() < HEAD {
        let head = cut(parent, HEAD - suffix.len());
        return format!("{head}{}{suffix}", md5(parent));
    }
    let head = cut(parent, HEAD);
    let hashed = format!("{head}{}", md5(&format!("{parent}{suffix}")));
    let name = format!("{hashed}{}", cut(suffix, MAX.saturating_sub(hashed.len())));
    name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Name of run number `index` of the task `task` with a matrix.
pub fn matrix_child(parent: &str, task: &str, index: usize) -> String {
    let name = child(parent, &format!("-{task}-{index}"));
    let tail = format!("-{index}");
    if name.ends_with(&tail) {
        return name;
    }
    let head = cut(&name, MAX - tail.len()).trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{head}{tail}")
}

/// Name of the pod of attempt number `retry`, from 0.
pub fn pod(task_run: &str, retry: usize) -> String {
    if retry == 0 { child(task_run, "-pod") } else { child(task_run, &format!("-pod-retry{retry}")) }
}

/// Name of the claim that a workspace's template becomes. `template` is the name that the template has, if any.
pub fn claim(template: Option<&str>, workspace: &str, owner_uid: &str) -> String {
    let template = template.filter(|name| !name.is_empty()).unwrap_or("pvc");
    format!("{template}-{}", &sha256(&format!("{workspace}{owner_uid}"))[..10])
}

/// Names of the volumes of workspaces, in the order of `workspaces`: `ws-` and five characters.
pub fn workspace_volumes<'a>(workspaces: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for workspace in workspaces {
        let mut text = workspace.to_owned();
        let name = loop {
            let hash = format!("{:05x}", fnv1a_32(text.as_bytes()));
            let name = format!("ws-{}", &hash[..5]);
            if !names.contains(&name) {
                break name;
            }
            text.push('$');
        };
        names.push(name);
    }
    names
}

/// Name of the request for what `params` (name and value, as JSON) say, asked by the run `name`.
pub fn resolution_request(
    resolver: &str,
    namespace: &str,
    name: &str,
    params: &[(String, String)],
) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort();
    let mut text = format!("{namespace}/{name}");
    for (key, value) in sorted {
        text.push_str(key);
        text.push_str(value);
    }
    format!("{resolver}-{:x}", fnv1a_128(text.as_bytes()))
}

/// Five characters that stand for `text`, where upstream draws lots.
pub fn short_hash(text: &str) -> String {
    sha256(text)[..5].to_owned()
}

/// `text` up to `length` bytes; names are ASCII, and other text is cut at a character.
fn cut(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    hex(&md5::Md5::digest(text))
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// FNV-1a, 32 bits.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// FNV-1a, 128 bits.
fn fnv1a_128(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::fits("run", "-build", "run-build")]
    #[case::just_fits(&"r".repeat(57), "-build", &format!("{}-build", "r".repeat(57)))]
    fn joins(#[case] parent: &str, #[case] suffix: &str, #[case] expected: &str) {
        assert_eq!(child(parent, suffix), expected);
    }

    #[test]
    fn a_long_parent_is_cut_and_hashed() {
        let name = child(&"r".repeat(60), "-build");
        assert_eq!(name.len(), 31 - 6 + 32 + 6);
        assert!(name.starts_with(&"r".repeat(25)) && name.ends_with("-build"), "{name}");
        assert_ne!(name, child(&"r".repeat(61), "-build"), "the hash tells parents apart");
    }

    #[test]
    fn a_long_suffix_is_cut_and_hashed() {
        let suffix = format!("-{}", "t".repeat(50));
        let name = child(&"r".repeat(40), &suffix);
        assert_eq!(name.len(), 63 - usize::from(name.len() < 63));
        assert!(name.starts_with(&"r".repeat(31)), "{name}");
        assert_ne!(name, child(&"r".repeat(40), &format!("{suffix}u")));
    }

    #[test]
    fn a_matrix_keeps_its_index() {
        assert_eq!(matrix_child("run", "build", 3), "run-build-3");
        let name = matrix_child(&"r".repeat(40), &"t".repeat(40), 12);
        assert!(name.ends_with("-12") && name.len() <= 63, "{name}");
    }

    #[test]
    fn pods_count_their_retries() {
        assert_eq!(pod("run", 0), "run-pod");
        assert_eq!(pod("run", 2), "run-pod-retry2");
    }

    #[test]
    fn volumes_of_workspaces_differ() {
        let names = workspace_volumes(["source", "cache", "source"]);
        assert!(names.iter().all(|name| name.len() == 8 && name.starts_with("ws-")), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2], "{names:?}");
    }

    #[test]
    fn hashes_are_the_standard_ones() {
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_128(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
