//! Formats of what goes over a link.

pub(crate) mod checksum;
