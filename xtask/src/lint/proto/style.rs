//! How protobuf files look.
use std::collections::BTreeMap;

use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Names that were public API before anybody looked.
const MISSPELT: [&str; 1] = ["bytesReceived"];

/// Numbers of fields in descriptors: comments are found by the path of such numbers.
mod at {
    pub(super) const MESSAGE: i32 = 4;
    pub(super) const ENUM: i32 = 5;
    pub(super) const SERVICE: i32 = 6;
    pub(super) const FIELD_IN_MESSAGE: i32 = 2;
    pub(super) const MESSAGE_IN_MESSAGE: i32 = 3;
    pub(super) const ENUM_IN_MESSAGE: i32 = 4;
    pub(super) const VALUE_IN_ENUM: i32 = 2;
    pub(super) const CALL_IN_SERVICE: i32 = 2;
}

pub(super) fn faults(files: &FileDescriptorSet) -> Vec<String> {
    files.file.iter().flat_map(|file| Reader::new(file).read()).collect()
}

struct Reader<'a> {
    file: &'a FileDescriptorProto,
    /// By path. Without the comment: none was written.
    comments: BTreeMap<&'a [i32], &'a str>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = places.map(|place| (place.path.as_slice(), place.leading_comments().trim())).collect();
        Self { file, comments, faults: Vec::new() }
    }

    fn read(mut self) -> Vec<String> {
        let file = self.file;
        let folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.replace('/', ".") != file.package() {
            self.fault(&format!("package `{}` does not live in folder `{folder}`", file.package()));
        }
        if file.syntax() != "proto3" {
            self.fault("is not of syntax proto3");
        }
        for (index, message) in (0..).zip(&file.message_type) {
            self.message(&[at::MESSAGE, index], message);
        }
        for (index, found) in (0..).zip(&file.enum_type) {
            self.enumeration(&[at::ENUM, index], found);
        }
        for (index, service) in (0..).zip(&file.service) {
            let path = [at::SERVICE, index];
            self.named(&path, service.name(), is_camel_case(service.name()), "CamelCase");
            for (index, call) in (0..).zip(&service.method) {
                let path = [&path[..], &[at::CALL_IN_SERVICE, index]].concat();
                self.named(&path, call.name(), is_camel_case(call.name()), "CamelCase");
            }
        }
        self.faults
    }

    fn message(&mut self, path: &[i32], message: &prost_types::DescriptorProto) {
        self.named(path, message.name(), is_camel_case(message.name()), "CamelCase");
        for (index, field) in (0..).zip(&message.field) {
            let path = [path, &[at::FIELD_IN_MESSAGE, index]].concat();
            let fits = is_snake_case(field.name()) || MISSPELT.contains(&field.name());
            self.named(&path, &format!("{}.{}", message.name(), field.name()), fits, "snake_case");
        }
        for (index, nested) in (0..).zip(&message.nested_type) {
            if !super::is_map_entry(nested) {
                self.message(&[path, &[at::MESSAGE_IN_MESSAGE, index]].concat(), nested);
            }
        }
        for (index, found) in (0..).zip(&message.enum_type) {
            self.enumeration(&[path, &[at::ENUM_IN_MESSAGE, index]].concat(), found);
        }
    }

    fn enumeration(&mut self, path: &[i32], found: &prost_types::EnumDescriptorProto) {
        self.named(path, found.name(), is_camel_case(found.name()), "CamelCase");
        for (index, value) in (0..).zip(&found.value) {
            let path = [path, &[at::VALUE_IN_ENUM, index]].concat();
            let fits =
                value.name() == value.name().to_uppercase() && is_snake_case(&value.name().to_lowercase());
            self.named(&path, &format!("{}.{}", found.name(), value.name()), fits, "UPPER_CASE");
        }
    }

    /// Everything with a name has a comment.
    fn named(&mut self, path: &[i32], name: &str, fits: bool, shape: &str) {
        if !fits {
            self.fault(&format!("{name} is not written in {shape}"));
        }
        if self.comments.get(path).is_none_or(|comment| comment.is_empty()) {
            self.fault(&format!("{name} has no comment"));
        }
    }

    fn fault(&mut self, what: &str) {
        self.faults.push(format!("{}/{}: {what}", super::FOLDER, self.file.name()));
    }
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.contains("__")
        && !name.ends_with('_')
}
