//! Images: references, pulling, importing, the content store and unpacked layers.
