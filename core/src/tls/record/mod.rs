//! Protection of records, and the keys that it takes.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `parts` | application data that lies in several slices, read as if it were one |
//! | `schedule` | the key schedule: HKDF and the secrets made by it (RFC 8446, section 7) |
//! | `protection` | a record's header, and the keys of one direction (RFC 8446, section 5) |
//!
//! May import `alert`, `wire` and [`crypto`](crate::tls::crypto).

pub(crate) mod parts;
pub(crate) mod protection;
pub(crate) mod schedule;
#[cfg(test)]
mod wycheproof;
