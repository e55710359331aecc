//! lvs.cf: text, tree with comments, and the model it means; diagnostics.
#![forbid(unsafe_code)]
pub mod config;
