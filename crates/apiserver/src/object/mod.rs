//! Objects as trees and as bytes: how they are written for the store, how they are served without being encoded
//! again.

pub mod encode;
pub mod form;
