//! What a box runs: the registry, manifests, the first-party table, and how a module is launched.

pub mod enrol;
pub mod known;
pub mod launch;
pub mod logfile;
pub mod manifest;
pub mod registry;
mod surrogates;
