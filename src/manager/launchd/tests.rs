//! Parsers and rendering, against fixtures and against chance.
