//! The running hub over HTTP, every call under a deadline, tolerant of hubs of other make.
