//! What every api crate is written in: checked label and annotation keys, finalizers, and conditions whose
//! illegal states cannot be written. Types and constants only; the behaviour is in `fleet`.

mod condition;
mod key;
pub mod keys;

pub use condition::{Condition, ConditionState, Truth};
pub use key::{AnnotationKey, Finalizer, LabelKey};
