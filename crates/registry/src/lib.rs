//! Reads from registries of container images and writes to them, by the OCI distribution specification.
//!
//! ```text
//! "quay.io/org/app:v1" ─▶ Reference ─┐
//! Secrets of a pod     ─▶ Keychain ──┴▶ Client ─▶ Manifest ─▶ Image: what runs on which platform
//!                                         │  ├──▶ blobs, their digest checked, or copied to another repository
//!                                         │  └──▶ referrers: what names the manifest as its subject
//!                                         └─ every call by fleet::outbound
//! ```
//! Whatever comes from a registry is checked against the digest that asked for it, and nothing is read without a limit.

mod attached;
mod call;
mod challenge;
mod client;
mod copy;
mod error;
mod image;
mod keychain;
mod login;
mod push;
mod reference;
mod referrers;

pub use attached::Attached;
pub use call::Action;
pub use client::{Client, Manifest, Tags};
pub use copy::Copied;
pub use error::Error;
pub use image::{Descriptor, Document, Image, ImageManifest, Platform, Program};
pub use keychain::{BadSecret, Keychain};
pub use login::Login;
pub use push::Blob;
pub use reference::{Digest, InvalidReference, Reference};
