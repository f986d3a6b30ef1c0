//! Functions that policies call and the interpreter lacks, or has otherwise than OPA.
//!
//! A function never raises an error for a value that it cannot work with: it is undefined, as OPA's are. Each is known to the
//! interpreter as `__ec.call.NAME`; a module made here wraps it as `data.__ec.builtin.NAME`, so that unit tests can replace it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use regorus::{Engine, Value};

use super::Module;
use super::host::Memo;

mod crypto;
mod purl;
mod schema;

pub(super) use schema::Validators;

/// Called with the number of a rule that asked for its annotations.
pub(super) const METADATA_CHAIN: &str = "__ec.metadata_chain";
pub(super) const METADATA_RULE: &str = "__ec.metadata_rule";
/// All pairs of path and value below a value.
pub(super) const WALK: &str = "__ec.walk";
/// Its argument, unless it is neither a list nor a set nor an object.
pub(super) const COLLECTION: &str = "__ec.collection";
/// What an evaluation says of itself: `data.config`.
pub(super) const CONFIGURATION: &str = "__ec.configuration";

/// Names that a policy must not use: `__ec` is ours.
pub(super) const OURS: &str = "__ec";

/// Would give a policy the network or the process it runs in.
const FORBIDDEN: [&str; 3] = ["http.send", "net.lookup_ip_addr", "opa.runtime"];

enum Body {
    /// `None` is undefined.
    Pure(fn(&[Value]) -> Option<Value>),
    /// With the schemas that were compiled before.
    Schema(fn(&Validators, &[Value]) -> anyhow::Result<Value>),
    /// Answered by the host, once in an evaluation.
    Host,
}

struct Builtin {
    name: &'static str,
    arity: u8,
    body: Body,
}

const fn pure(name: &'static str, arity: u8, function: fn(&[Value]) -> Option<Value>) -> Builtin {
    Builtin { name, arity, body: Body::Pure(function) }
}

const fn host(name: &'static str, arity: u8) -> Builtin {
    Builtin { name, arity, body: Body::Host }
}

static BUILTINS: &[Builtin] = &[
    pure("crypto.hmac.equal", 2, crypto::hmac_equal),
    pure("crypto.hmac.sha1", 2, crypto::hmac_sha1),
    pure("crypto.hmac.sha256", 2, crypto::hmac_sha256),
    pure("crypto.hmac.sha512", 2, crypto::hmac_sha512),
    pure("crypto.sha1", 1, crypto::sha1),
    pure("crypto.sha256", 1, crypto::sha256),
    pure("crypto.x509.parse_certificates", 1, crypto::parse_certificates),
    host("ec.oci.blob", 1),
    host("ec.oci.descriptor", 1),
    host("ec.oci.image_files", 2),
    host("ec.oci.image_index", 1),
    host("ec.oci.image_manifest", 1),
    pure("ec.purl.is_valid", 1, purl::is_valid),
    pure("ec.purl.parse", 1, purl::parse),
    host("ec.sigstore.verify_attestation", 2),
    host("ec.sigstore.verify_image", 2),
    Builtin { name: "json.match_schema", arity: 2, body: Body::Schema(schema::match_schema) },
    Builtin { name: "json.verify_schema", arity: 1, body: Body::Schema(schema::verify_schema) },
];

/// Whether a function is one of this table.
pub(super) fn is_ours(name: &str) -> bool {
    BUILTINS.iter().any(|builtin| builtin.name == name)
}

pub(super) fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.contains(&name)
}

/// Whether a policy can call it: one of ours, or one of the interpreter's own.
pub(super) fn is_known(name: &str) -> bool {
    name == "print" || is_ours(name) || regorus::unstable::BUILTINS.contains_key(name)
}

/// The reference that calls one of ours through its wrapper.
pub(super) fn wrapper(name: &str) -> String {
    format!("data.{OURS}.builtin.{name}")
}

/// The modules that wrap the functions of the table, one for each package.
pub(super) fn wrappers() -> Vec<Module> {
    let mut packages: BTreeMap<&str, String> = BTreeMap::new();
    for builtin in BUILTINS {
        let (package, name) = builtin.name.rsplit_once('.').unwrap_or(("", builtin.name));
        let arguments = ["a", "b"][..usize::from(builtin.arity)].join(", ");
        let text = packages.entry(package).or_insert_with(|| format!("package {OURS}.builtin.{package}\n"));
        let _ = writeln!(text, "{name}({arguments}) := {OURS}.call.{}({arguments})", builtin.name);
    }
    packages.into_iter().map(|(package, text)| Module { path: format!("<{package}>"), text }).collect()
}

/// Teaches the functions to an engine, for one evaluation.
pub(super) fn install(
    engine: &mut Engine,
    memo: &Arc<Memo>,
    validators: &Arc<Validators>,
) -> anyhow::Result<()> {
    for builtin in BUILTINS {
        let path = format!("{OURS}.call.{}", builtin.name);
        let extension: Box<dyn regorus::Extension> = match &builtin.body {
            Body::Pure(function) => {
                Box::new(|arguments: Vec<Value>| Ok(function(&arguments).unwrap_or(Value::Undefined)))
            }
            Body::Schema(function) => {
                let validators = Arc::clone(validators);
                Box::new(move |arguments: Vec<Value>| function(&validators, &arguments))
            }
            Body::Host => {
                let memo = Arc::clone(memo);
                Box::new(move |arguments: Vec<Value>| Ok(memo.call(builtin.name, arguments)))
            }
        };
        engine.add_extension(path, builtin.arity, extension)?;
    }
    engine.add_extension(
        COLLECTION.to_owned(),
        1,
        Box::new(|arguments: Vec<Value>| Ok(collection(arguments))),
    )?;
    engine.add_extension(WALK.to_owned(), 1, Box::new(|arguments: Vec<Value>| Ok(walk(&arguments[0]))))
}

fn collection(mut arguments: Vec<Value>) -> Value {
    match arguments.pop() {
        Some(found @ (Value::Array(_) | Value::Set(_) | Value::Object(_))) => found,
        _ => Value::Undefined,
    }
}

/// `[[path, value], …]`, a value before what is in it.
fn walk(value: &Value) -> Value {
    fn descend(value: &Value, path: &mut Vec<Value>, pairs: &mut Vec<Value>) {
        pairs.push(Value::from(vec![Value::from(path.clone()), value.clone()]));
        let mut step = |key: Value, inner: &Value| {
            path.push(key);
            descend(inner, path, pairs);
            path.pop();
        };
        match value {
            Value::Array(items) => {
                items.iter().zip(0_u64..).for_each(|(item, number)| step(number.into(), item));
            }
            Value::Object(fields) => fields.iter().for_each(|(key, inner)| step(key.clone(), inner)),
            Value::Set(items) => items.iter().for_each(|item| step(item.clone(), item)),
            _ => {}
        }
    }
    let mut pairs = Vec::new();
    descend(value, &mut Vec::new(), &mut pairs);
    Value::from(pairs)
}
