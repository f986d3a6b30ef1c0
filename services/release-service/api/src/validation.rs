//! CEL rules at the root of a kind.
//!
//! An object that was stored before a rule existed must stay editable, down to the removal of its finalizer. The API
//! server skips rules on what has not changed, but a level with unknown or free-form fields counts as changed for
//! it: what only new objects must obey is said by rules that see the old object, which `optionalOldSelf` makes
//! absent on create.

use kube::core::{Message, Reason, Rule};

/// The field of the spec is given, but in objects that came without it: those of newer programs may.
pub(crate) fn required(field: &str) -> Rule {
    Rule::new(format!("has(self.spec.{field}) || (oldSelf.hasValue() && !has(oldSelf.value().spec.{field}))"))
        .message(format!("{field} must be given").as_str())
        .reason(Reason::FieldValueRequired)
        .field_path(format!(".spec.{field}"))
        .optional_old_self(true)
}

/// The name of a new `kind` can be the value of a label.
pub(crate) fn name_fits_a_label(kind: &str) -> Rule {
    Rule::new("oldSelf.hasValue() || self.metadata.name.size() <= 63")
        .message(Message::Expression(format!(
            "'invalid {kind} name: ' + self.metadata.name \
             + ': metadata.name must not be longer than 63 characters, for it becomes the value of a label'"
        )))
        .optional_old_self(true)
}
