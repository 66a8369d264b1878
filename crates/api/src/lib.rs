//! The built-in kinds: the field catalogue, decoding and encoding.
