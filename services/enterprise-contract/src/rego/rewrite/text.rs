//! Edits of a text, by position.

use std::ops::Range;

pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

/// A part of a text after the edits within it.
pub(super) fn apply(text: &str, part: Range<usize>, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> =
        edits.iter().filter(|edit| part.start <= edit.start && edit.end <= part.end).collect();
    // Stable: what is inserted at one place stays in order, and before what is replaced there.
    edits.sort_by_key(|edit| (edit.start, edit.start < edit.end));
    let mut result = String::with_capacity(part.len() + 1024);
    let mut done = part.start;
    for edit in edits {
        result.push_str(&text[done..edit.start]);
        result.push_str(&edit.text);
        // The lines within what is replaced have to stay.
        let lines = text[edit.start..edit.end].matches('\n').count();
        result.extend(std::iter::repeat_n('\n', lines));
        done = edit.end;
    }
    result.push_str(&text[done..part.end]);
    result
}
