//! Stand-ins that live outside the program under test.

pub(crate) mod hub;
pub(crate) mod rogue;
pub(crate) mod wire;
