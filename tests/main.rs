//! All tests of the program that ships, in one binary.

mod client;
mod fakes;
