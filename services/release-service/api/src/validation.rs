//! CEL rules at the root of a kind.
//!
//! An object that was stored before a rule existed must stay editable, down to the removal of its finalizer. The root
//! always counts as changed: what only new objects must obey is said by rules that see the old object, which
//! `optionalOldSelf` makes absent on create.

use kube::core::{Message, Rule};

/// The name of a new `kind` can be the value of a label.
pub(crate) fn name_fits_a_label(kind: &str) -> Rule {
    Rule::new("oldSelf.hasValue() || self.metadata.name.size() <= 63")
        .message(Message::Expression(format!(
            "'invalid {kind} name: ' + self.metadata.name \
             + ': metadata.name must not be longer than 63 characters, for it becomes the value of a label'"
        )))
        .optional_old_self(true)
}
