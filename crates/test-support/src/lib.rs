//! Fixtures that several crates' tests share.
