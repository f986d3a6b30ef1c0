//! Whether a CycloneDX file holds to what the schema demands.
//!
//! What readers of such a file rely on is checked: kinds and required fields at the top, of components, of their hashes and properties.
//! It is not the whole schema, which has some 4,000 lines for fields that nobody here writes.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// Versions whose components look alike.
const VERSIONS: [&str; 5] = ["1.2", "1.3", "1.4", "1.5", "1.6"];

/// Kinds of components in 1.6, which has those of all before.
const KINDS: [&str; 13] = [
    "application",
    "framework",
    "library",
    "container",
    "platform",
    "operating-system",
    "device",
    "device-driver",
    "firmware",
    "file",
    "machine-learning-model",
    "data",
    "cryptographic-asset",
];

/// Faults that are listed. A file with more is no better known by them.
const MAX_FAULTS: usize = 20;

/// Something that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as `components[3].type`; empty for the file as a whole.
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.reason),
            path => write!(f, "{path}: {}", self.reason),
        }
    }
}

/// What is wrong with the file. Empty if nothing is.
pub fn check(bytes: &[u8]) -> Vec<Fault> {
    let mut checking = Checking::default();
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(bom)) => checking.bom(&bom),
        Ok(_) => checking.fault("", "it is no JSON object"),
        Err(error) => checking.fault("", format!("it is no JSON: {error}")),
    }
    checking.faults
}

#[derive(Default)]
struct Checking {
    faults: Vec<Fault>,
    references: BTreeSet<String>,
}

impl Checking {
    fn fault(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { path: path.into(), reason: reason.into() });
        }
    }

    fn bom(&mut self, bom: &Map<String, Value>) {
        if bom.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
            self.fault("bomFormat", "must be CycloneDX");
        }
        match bom.get("specVersion").and_then(Value::as_str) {
            Some(version) if VERSIONS.contains(&version) => {}
            _ => self.fault("specVersion", format!("must be one of {}", VERSIONS.join(", "))),
        }
        match bom.get("version").map(Value::as_u64) {
            None | Some(Some(1..)) => {}
            Some(_) => self.fault("version", "must be a whole number from 1"),
        }
        if let Some(serial) = bom.get("serialNumber") {
            let uuid = serial.as_str().and_then(|serial| serial.strip_prefix("urn:uuid:"));
            if !uuid.is_some_and(is_uuid) {
                self.fault("serialNumber", "must be urn:uuid: and a UUID");
            }
        }
        self.components("components", bom.get("components"));
        self.each("formulation", bom.get("formulation"), |checking, path, formula| {
            checking.components(&format!("{path}.components"), formula.get("components"));
        });
        self.each("dependencies", bom.get("dependencies"), |checking, path, dependency| {
            checking.text(&path, dependency, "ref", true);
        });
    }

    fn components(&mut self, path: &str, components: Option<&Value>) {
        self.each(path, components, |checking, path, component| checking.component(&path, component));
    }

    fn component(&mut self, path: &str, component: &Map<String, Value>) {
        let kind = component.get("type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| KINDS.contains(&kind)) {
            self.fault(format!("{path}.type"), format!("must be one of {}", KINDS.join(", ")));
        }
        self.text(path, component, "name", true);
        for field in ["version", "group", "purl", "cpe", "publisher", "description", "bom-ref", "mime-type"] {
            self.text(path, component, field, false);
        }
        if let Some(reference) = component.get("bom-ref").and_then(Value::as_str)
            && !self.references.insert(reference.to_owned())
        {
            self.fault(format!("{path}.bom-ref"), format!("{reference:?} is another component's too"));
        }
        self.each(&format!("{path}.hashes"), component.get("hashes"), |checking, path, hash| {
            checking.text(&path, hash, "alg", true);
            checking.text(&path, hash, "content", true);
        });
        self.each(&format!("{path}.licenses"), component.get("licenses"), |checking, path, license| {
            if license.contains_key("license") == license.contains_key("expression") {
                checking.fault(path, "must have either license or expression");
            }
        });
        self.each(&format!("{path}.properties"), component.get("properties"), |checking, path, property| {
            checking.text(&path, property, "name", false);
            checking.text(&path, property, "value", false);
        });
        // The depth is bounded: JSON that nests deeper than 128 is not read.
        self.components(&format!("{path}.components"), component.get("components"));
    }

    /// Each entry of a list of objects, if there is a list.
    fn each(
        &mut self,
        path: &str,
        list: Option<&Value>,
        mut entry: impl FnMut(&mut Self, String, &Map<String, Value>),
    ) {
        match list {
            None => {}
            Some(Value::Array(entries)) => {
                for (at, value) in entries.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    match value {
                        Value::Object(value) => entry(self, path, value),
                        _ => self.fault(path, "must be an object"),
                    }
                }
            }
            Some(_) => self.fault(path, "must be a list"),
        }
    }

    fn text(&mut self, path: &str, object: &Map<String, Value>, field: &str, is_required: bool) {
        match object.get(field) {
            Some(Value::String(_)) => {}
            None if !is_required => {}
            None => self.fault(format!("{path}.{field}"), "is required"),
            Some(_) => self.fault(format!("{path}.{field}"), "must be a string"),
        }
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|c| c == b'-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn valid() -> Value {
        json!({
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
            "components": [{"type": "library", "name": "a", "bom-ref": "a", "licenses": [{"expression": "MIT"}]}],
        })
    }

    #[rstest]
    #[case::format("/bomFormat", json!("x"), "bomFormat: must be CycloneDX")]
    #[case::spec("/specVersion", json!("9"), "specVersion: must be one of 1.2, 1.3, 1.4, 1.5, 1.6")]
    #[case::version("/version", json!(0), "version: must be a whole number from 1")]
    #[case::serial("/serialNumber", json!("urn:uuid:1"), "serialNumber: must be urn:uuid: and a UUID")]
    #[case::no_list("/components", json!({}), "components: must be a list")]
    #[case::no_object("/components/0", json!(1), "components[0]: must be an object")]
    #[case::name("/components/0", json!({"type": "library"}), "components[0].name: is required")]
    #[case::name_kind("/components/0/name", json!(1), "components[0].name: must be a string")]
    #[case::license("/components/0/licenses/0", json!({}), "components[0].licenses[0]: must have either license or expression")]
    fn faults_are_named(#[case] at: &str, #[case] value: Value, #[case] fault: &str) {
        let mut bom = valid();
        *bom.pointer_mut(at).unwrap() = value;
        let faults: Vec<String> = check(bom.to_string().as_bytes()).iter().map(Fault::to_string).collect();
        assert_eq!(faults, [fault]);
    }

    #[test]
    fn kinds_and_doubles_are_seen_in_depth() {
        let mut bom = valid();
        bom["components"][0]["components"] = json!([{"type": "thing", "name": "b", "bom-ref": "a"}]);
        let faults: Vec<String> = check(bom.to_string().as_bytes()).iter().map(Fault::to_string).collect();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("components[0].components[0].type: must be one of application"));
        assert_eq!(faults[1], "components[0].components[0].bom-ref: \"a\" is another component's too");
    }

    #[test]
    fn a_valid_file_has_none_and_no_file_has_many() {
        assert_eq!(check(valid().to_string().as_bytes()), []);
        assert_eq!(check(b"[]").len(), 1);
        assert!(check(b"").first().unwrap().to_string().starts_with("it is no JSON"));
        let many = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": vec![1; 100]});
        assert_eq!(check(many.to_string().as_bytes()).len(), MAX_FAULTS);
    }
}
