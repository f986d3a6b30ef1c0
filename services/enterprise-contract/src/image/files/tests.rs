use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::fuzz::fuzz;

/// A layer; a path that ends with a slash is a folder, content that begins with `->` is a link.
fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match (path.strip_suffix('/'), content.strip_prefix("->")) {
            (Some(folder), _) => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, folder, io::empty()).unwrap();
            }
            (None, Some(target)) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
            (None, None) => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// `layers` from the lowest up.
fn flatten(wanted: Wanted, layers: &[Vec<u8>]) -> io::Result<BTreeMap<String, Value>> {
    let mut flattened = Flattened::new(wanted);
    for layer in layers.iter().rev() {
        flattened.add(BufReader::new(&layer[..]))?;
    }
    Ok(flattened.files)
}

#[rstest]
#[case::yaml("m/a.yaml", true)]
#[case::yml_in_capitals("m/a.YML", true)]
#[case::json("m/a.json", true)]
#[case::absolute("/m/a.json", true)]
#[case::current("./m/a.json", true)]
#[case::other_extension("m/a.txt", false)]
#[case::deeper("m/d/a.yaml", false)]
#[case::elsewhere("mm/a.yaml", false)]
fn picks_direct_children_by_extension(#[case] path: &str, #[case] is_wanted: bool) {
    let files =
        flatten(Wanted::in_folders(["/m/"]), &[layer(&[(path.trim_start_matches('/'), "{}")])]).unwrap();
    assert_eq!(files.len(), usize::from(is_wanted), "{files:?}");
    assert!(files.keys().all(|path| path.starts_with("m/")));
}

#[rstest]
#[case::replaced(&[("m/a.yaml", "lower")], &[("m/a.yaml", "upper")], json!({"m/a.yaml": "upper"}))]
#[case::added(&[("m/a.yaml", "1")], &[("m/b.yaml", "2")], json!({"m/a.yaml": 1, "m/b.yaml": 2}))]
#[case::removed(&[("m/a.yaml", "1"), ("m/b.yaml", "2")], &[("m/.wh.a.yaml", "")], json!({"m/b.yaml": 2}))]
#[case::folder_removed(&[("m/a.yaml", "1")], &[(".wh.m", "")], json!({}))]
#[case::folder_removed_and_made_again(&[("m/a.yaml", "1")], &[(".wh.m", ""), ("m/b.yaml", "2")], json!({"m/b.yaml": 2}))]
#[case::opaque(&[("m/a.yaml", "1")], &[("m/", ""), ("m/.wh..wh..opq", ""), ("m/b.yaml", "2")], json!({"m/b.yaml": 2}))]
#[case::folder_again(&[("m/a.yaml", "1")], &[("m/", "")], json!({"m/a.yaml": 1}))]
#[case::folder_became_a_file(&[("m/a.yaml", "1")], &[("m", "x")], json!({}))]
#[case::became_a_link(&[("m/a.yaml", "1")], &[("m/a.yaml", "->b.yaml")], json!({}))]
#[case::not_yaml(&[("m/a.yaml", "1"), ("m/b.yaml", "{")], &[], json!({"m/a.yaml": 1}))]
#[case::replaced_by_no_yaml(&[("m/a.yaml", "1")], &[("m/a.yaml", "{")], json!({}))]
fn upper_layers_hide_lower(
    #[case] lower: &[(&str, &str)],
    #[case] upper: &[(&str, &str)],
    #[case] expected: Value,
) {
    let files = flatten(Wanted::in_folders(["m"]), &[layer(lower), layer(upper)]).unwrap();
    assert_eq!(json!(files), expected);
}

#[test]
fn reads_compressed_layers_and_single_files() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&layer(&[
            ("m/a.yaml", "{a: [1]}"),
            ("m/d/b.json", "true"),
            ("n.json", "1"),
            ("o.json", "2"),
        ]))
        .unwrap();
    let files = flatten(Wanted::under(["m", "n.json"]), &[encoder.finish().unwrap()]).unwrap();
    assert_eq!(json!(files), json!({"m/a.yaml": {"a": [1]}, "m/d/b.json": true, "n.json": 1}));
}

#[rstest]
#[case::zstd(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0])]
#[case::no_tar(&[7; 1024])]
#[case::cut_off(&layer(&[("m/a.yaml", &"x".repeat(600))])[..600])]
fn a_layer_that_cannot_be_read_is_an_error(#[case] content: &[u8]) {
    flatten(Wanted::in_folders(["m"]), &[content.to_vec()]).unwrap_err();
}

#[test]
fn never_panics() {
    let strategy = (proptest::collection::vec(any::<u8>(), 0..2048), 0_usize..600, any::<u8>());
    fuzz(&strategy, |(content, at, byte)| {
        let _ = flatten(Wanted::in_folders(["m"]), &[content]);
        let mut broken = layer(&[("m/a.yaml", "a: 1"), ("m/.wh.b.yaml", "")]);
        broken[at] = byte;
        let _ = flatten(Wanted::under([""]), &[broken]);
        Ok(())
    });
}
