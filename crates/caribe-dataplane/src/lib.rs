//! The data plane behind one trait.
mod dataplane;
pub use dataplane::*;
