//! Makes the messages and services of `proto/`, with their JSON, without protoc.
use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic_prost_build::Builder;

/// Where the `.proto` files are, seen from this crate.
const PROTO: &str = "../../../proto";
const FILES: [&str; 2] = ["tekton/results/v1alpha2/api.proto", "tekton/results/lister/page_token.proto"];
const PACKAGE: &str = "tekton.results.v1alpha2";

/// The messages that REST bodies are made of. Requests are not among them: their parts are in paths and queries.
const JSON: [&str; 8] = [
    "Any",
    "ListRecordsResponse",
    "ListResultsResponse",
    "LogSummary",
    "Record",
    "RecordListSummary",
    "RecordSummary",
    "Result",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let mut compiler = protox::Compiler::new([PROTO])?;
    // Comments are wanted, as doc comments.
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();

    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("descriptors.bin"), without_comments(&descriptors).encode_to_vec())?;

    let builder = tonic_prost_build::configure()
        .extern_path(".google.protobuf.Timestamp", "crate::timestamp::Timestamp")
        // Sorted, so that one message has one text.
        .btree_map(".")
        // A document of some MiB is not copied on its way through.
        .bytes(".")
        .emit_rerun_if_changed(false);
    with_json(builder, &descriptors).compile_fds(descriptors)?;
    Ok(())
}

/// What gRPC reflection serves: no client asks for comments.
fn without_comments(descriptors: &FileDescriptorSet) -> FileDescriptorSet {
    let mut descriptors = descriptors.clone();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors
}

/// Derives of serde for the messages in [`JSON`], with what differs from its defaults per field.
fn with_json(builder: Builder, descriptors: &FileDescriptorSet) -> Builder {
    descriptors
        .file
        .iter()
        .filter(|file| file.package() == PACKAGE)
        .flat_map(|file| &file.message_type)
        .filter(|message| JSON.contains(&message.name()))
        .fold(builder, with_json_of)
}

fn with_json_of(builder: Builder, message: &DescriptorProto) -> Builder {
    let path = format!(".{PACKAGE}.{}", message.name());
    let builder = builder
        .message_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(&path, "#[serde(default)]");
    message.field.iter().fold(builder, |builder, field| {
        let path = format!("{path}.{}", field.name());
        builder.field_attribute(path, format!("#[serde({})]", json_of(field)))
    })
}

/// Attributes of serde for a field: output takes the camel case name, input either.
fn json_of(field: &FieldDescriptorProto) -> String {
    let mut attributes = vec![format!("rename = \"{}\"", field.json_name())];
    if field.name() != field.json_name() {
        attributes.push(format!("alias = \"{}\"", field.name()));
    }
    let is_list = field.label() == Label::Repeated;
    let mapping = match (field.r#type(), field.type_name()) {
        (Type::Bytes, _) => Some("base64"),
        (Type::Int64, _) => Some("int64"),
        (Type::Enum, _) => Some("status"),
        (Type::Message, ".google.protobuf.Struct") => Some("structs"),
        // An `Option` takes null by itself.
        (Type::Message, _) if !is_list => None,
        _ => {
            attributes.push("deserialize_with = \"crate::json::or_default\"".to_owned());
            None
        }
    };
    attributes.extend(mapping.map(|mapping| format!("with = \"crate::json::{mapping}\"")));
    attributes.join(", ")
}
