//! Registries as the controllers see them: Quay's API against a fake of it, tokens against a real registry.

mod client;
mod distribution;
mod matrix;
mod pruner;
mod quay;
mod rights;
mod tokens;
