//! What every api crate is written in: checked label and annotation keys, finalizers, and conditions whose
//! illegal states cannot be written; and what turns a derived schema into one that is stored by. Types and
//! constants only; the behaviour is in `fleet`.

mod condition;
mod editable;
mod key;
pub mod keys;
mod open;
pub mod schema;

pub use condition::{Condition, ConditionState, Truth};
pub use editable::{FIELD_VALUE_REQUIRED, editable};
pub use key::{AnnotationKey, Finalizer, LabelKey};
pub use open::Open;
