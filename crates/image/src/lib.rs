//! Images on a node: names, pulling, importing, unpacked layers, and the root file systems made from them.
//!
//! ```text
//! registry ──pull──┐                       layers/<diff id>/      one directory a layer, shared by images
//! archive ──import─┴─▶ verify ─▶ unpack ─▶ images/<id>.json       what an image is called and made of
//!                                          containers/<id>/       one container's writable layer
//! ```
//! Layers are unpacked once, beside, and appear by a rename when they are whole and on disk, so that a crash leaves
//! either a whole layer or none. Content is verified twice: what was downloaded against its digest, and what was
//! unpacked against the layer's diff id.

mod archive;
mod digest;
mod pull;
mod record;
mod reference;
mod store;
mod unpack;

pub use archive::ImportError;
pub use digest::{Digest, DigestError};
pub use pull::{Auth, Mirror, PullError, Registries};
pub use record::{Image, ImageConfig};
pub use reference::{ImageName, InvalidImageName};
pub use store::{ImageStore, RootFs, StoreError, Usage};
