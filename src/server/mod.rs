//! The hub's HTTP routes over a listener that the caller brings, until the caller ends it.
