//! Software bills of materials, and what is known of the packages in them.
//!
//! ```text
//! lockfiles, installed packages ─▶ Package ─┐
//! SBOMs of other tools ─▶ cyclonedx::Bom ───┴▶ Inventory ─┬▶ cyclonedx::Bom ─▶ sbom-cyclonedx.json
//! base images of the build ─▶ BaseImage ──────────────────┼▶ spdx::Document ─▶ sbom-spdx.json
//!                                                         └▶ purls::ImageContents ─▶ sbom-purl.json
//! an attached SBOM of either format ─▶ Format::detect ─▶ purls of what is in the image
//! ```
//! No I/O here, and no panic on what others wrote: readers answer with an error that says what is wrong.

mod base_image;
mod checks;
pub mod cyclonedx;
mod format;
mod inventory;
mod package;
pub mod purls;
pub mod spdx;
pub mod version;

pub use base_image::{BadBaseImage, BaseImage, Stage};
pub use checks::{Fault, check};
pub use format::{Format, Unreadable};
pub use inventory::{About, Inventory};
pub use package::{InvalidPackage, Package, Purl, full_name, pypi_name};
