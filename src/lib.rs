//! `parachute` keeps a box's services running and tells the truth about them.
//!
//! The rooms, in layer order; each may use what is below it, and siblings do not use each other:
//!
//! | room | what it is for |
//! |---|---|
//! | [`commands`] | a verb is a file |
//! | [`lifecycle`] | who carries out a verb on this box: the managed or the detached way |
//! | [`server`] | the hub's HTTP routes |
//! | [`supervisor`] | one task owns one child |
//! | [`manager`] | what keeps the hub alive: systemd, launchd, a pidfile, somebody else |
//! | [`client`] | the running hub over HTTP |
//! | [`keys`] | signing keys and tokens |
//! | [`modules`] | registry, manifests, how a module is launched |
//! | [`output`] | one value, two views: for people and for machines |
//! | [`context`] | what surrounds one run |
//! | [`os`] | the edge to the operating system; the only place with `cfg` |
//! | [`api`], [`home`], [`error`] | the ground |
#![warn(missing_docs)]

pub mod api;
pub mod cli;
pub mod client;
pub mod commands;
pub mod context;
pub mod error;
pub mod home;
pub mod keys;
pub mod lifecycle;
pub mod manager;
pub mod modules;
pub mod os;
pub mod output;
pub mod server;
pub mod supervisor;
