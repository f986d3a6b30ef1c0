//! Protobuf files read like one hand's work, and what is public in them never changes.
//!
//! ```text
//! proto/**/*.proto ─ compile ─┬─▶ style: paths, names, a comment on everything
//!                             └─▶ surface, one line for each field, value, call ── compare ── proto/<package>.lock.json
//! ```
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

mod style;
#[cfg(test)]
mod tests;

const FOLDER: &str = "proto";

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let names: Vec<&Path> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .filter_map(|path| path.strip_prefix(FOLDER).ok())
        .collect();
    let found = compile(&root.join(FOLDER), &names)?;
    let mut faults = style::faults(&found);
    let surfaces = surfaces(&found);
    for (package, surface) in &surfaces {
        let path = lock_path(package);
        let locked = match std::fs::read_to_string(root.join(&path)) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Surface::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        faults.extend(breaks(&path, &locked, surface));
    }
    let known: BTreeSet<PathBuf> = surfaces.keys().map(|package| lock_path(package)).collect();
    faults.extend(
        files
            .iter()
            .filter(|path| path.starts_with(FOLDER) && path.to_string_lossy().ends_with(".lock.json"))
            .filter(|path| !known.contains(*path))
            .map(|path| format!("{}: its package is gone, which breaks whoever uses it", path.display())),
    );
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{} files", names.len()))
}

fn lock_path(package: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{package}.lock.json"))
}

/// Our files, with comments, without those of protobuf that they import.
fn compile(folder: &Path, names: &[&Path]) -> anyhow::Result<FileDescriptorSet> {
    let mut compiler = protox::Compiler::new([folder])?;
    compiler.include_source_info(true);
    for name in names {
        compiler
            .open_file(name)
            .map_err(|error| anyhow::anyhow!("{FOLDER}/{}: {error:?}", name.display()))?;
    }
    Ok(compiler.file_descriptor_set())
}

/// What clients were built with: by `Message.number`, `Enum.number` and `Service.Call`.
type Surface = BTreeMap<String, String>;

/// One surface for each package.
fn surfaces(files: &FileDescriptorSet) -> BTreeMap<String, Surface> {
    let mut surfaces = BTreeMap::<String, Surface>::new();
    for file in &files.file {
        let surface = surfaces.entry(file.package().to_owned()).or_default();
        each_message(file, &mut |path, message| {
            surface.extend(message.field.iter().map(|field| {
                (
                    format!("{path}.{}", field.number()),
                    format!("{} {}", type_of(message, field), field.name()),
                )
            }));
        });
        each_enum(file, &mut |path, found| {
            let values = found.value.iter();
            surface
                .extend(values.map(|value| (format!("{path}.{}", value.number()), value.name().to_owned())));
        });
        for service in &file.service {
            surface.extend(calls(service));
        }
    }
    surfaces
}

fn calls(service: &ServiceDescriptorProto) -> impl Iterator<Item = (String, String)> + '_ {
    let stream = |is_stream: bool| if is_stream { "stream " } else { "" };
    service.method.iter().map(move |call| {
        let line = format!(
            "({}{}) returns ({}{})",
            stream(call.client_streaming()),
            call.input_type().trim_start_matches('.'),
            stream(call.server_streaming()),
            call.output_type().trim_start_matches('.')
        );
        (format!("{}.{}", service.name(), call.name()), line)
    })
}

/// A field's type as it is written in a file, but with full names.
fn type_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if let Some(entry) = map_entry(message, field) {
        let types: Vec<String> = entry.field.iter().map(|field| type_of(entry, field)).collect();
        return format!("map<{}>", types.join(", "));
    }
    let kind = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let label = match field.label() {
        Label::Repeated => "repeated ",
        Label::Required => "required ",
        Label::Optional if field.proto3_optional() => "optional ",
        Label::Optional => "",
    };
    format!("{label}{kind}")
}

/// Maps are lists of a message that nobody wrote.
fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    message.nested_type.iter().find(|nested| nested.name() == name && is_map_entry(nested))
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
}

/// Visits messages with the path of their name inside the package, those inside of others after them.
fn each_message(file: &FileDescriptorProto, visit: &mut impl FnMut(&str, &DescriptorProto)) {
    fn inside(path: &str, message: &DescriptorProto, visit: &mut impl FnMut(&str, &DescriptorProto)) {
        visit(path, message);
        for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
            inside(&format!("{path}.{}", nested.name()), nested, visit);
        }
    }
    for message in &file.message_type {
        inside(message.name(), message, visit);
    }
}

/// Visits enums with the path of their name inside the package.
fn each_enum(file: &FileDescriptorProto, visit: &mut impl FnMut(&str, &EnumDescriptorProto)) {
    for found in &file.enum_type {
        visit(found.name(), found);
    }
    each_message(file, &mut |path, message| {
        for found in &message.enum_type {
            visit(&format!("{path}.{}", found.name()), found);
        }
    });
}

/// What the files no longer say, say otherwise, or say newly.
fn breaks(path: &Path, locked: &Surface, found: &Surface) -> Vec<String> {
    let keys: BTreeSet<&String> = locked.keys().chain(found.keys()).collect();
    keys.into_iter()
        .filter_map(|key| match (locked.get(key), found.get(key)) {
            (Some(was), Some(is)) if was == is => None,
            (Some(was), Some(is)) => {
                Some(format!("{}: {key} was `{was}` and is `{is}`: this breaks clients", path.display()))
            }
            (Some(was), None) => {
                Some(format!("{}: {key}, `{was}`, is gone: this breaks clients", path.display()))
            }
            (None, Some(is)) => Some(format!("{} lacks what is new: \"{key}\": \"{is}\"", path.display())),
            (None, None) => None,
        })
        .collect()
}
