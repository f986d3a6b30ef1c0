//! What the entrypoint itself has to say, among the step's own lines on standard error.

use core::fmt;

use crate::sys::File;

/// Standard error. What cannot be written there cannot be told anywhere.
pub struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        File::STDERR.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// A line of its own, as `format!` takes it.
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        // In one piece, so that lines of several writers do not mix.
        let line = alloc::format!("entrypoint: {}\n", alloc::format!($($text)*));
        let _ = $crate::log::Stderr.write_str(&line);
    }};
}
