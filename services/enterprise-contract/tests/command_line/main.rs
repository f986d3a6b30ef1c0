//! The program `ec` as users run it: flags, outputs, exit codes. Numbers of the specification's acceptance scenarios (section 10)
//! are in the names of the tests.

mod inputs;
mod program;
mod sources;
mod track;
