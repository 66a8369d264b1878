//! What the standard library could have had; no domain words, no I/O.
