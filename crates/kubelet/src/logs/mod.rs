//! Container logs: files in the format of the runtime interface, read from the end, from a time, or followed.
//!
//! [`select`] decides what of each line a reader gets. [`file`] finds the lines. [`follow`] waits for more of them
//! without asking again and again. [`rotate`] keeps them from growing without end.

pub mod line;
pub mod select;

pub mod file;
pub mod follow;
pub mod rotate;
