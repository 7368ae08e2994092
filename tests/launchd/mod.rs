//! The hub under launchd, through a stand-in launchctl that really runs it; and the stand-in
//! itself, against recorded calls and answers of real Macs.

mod install;
mod mac;
mod recorded;
mod scenario;
mod trouble;
mod verbs;
