//! The program that runs as `/tekton/bin/entrypoint` in every step of a run's pod. All of it is in the library; here is what
//! starts it.
#![cfg_attr(feature = "freestanding", no_std, no_main)]

#[cfg(feature = "freestanding")]
mod freestanding;

/// As every other program starts, for development and tests.
#[cfg(not(feature = "freestanding"))]
fn main() {
    use std::os::unix::ffi::OsStringExt as _;

    let arguments = std::env::args_os().map(std::ffi::OsString::into_vec).collect();
    let environment =
        std::env::vars_os().map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'=')).collect();
    pipelines_entrypoint::main(arguments, environment)
}
