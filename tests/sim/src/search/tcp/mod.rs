//! Two connections of the TCP in user space, with buffers of a few octets, and a network between
//! them that delivers, loses, doubles, cuts and reorders.
//!
//! | file | what it has |
//! |---|---|
//! | `cases.rs` | the configurations |
//! | `rules.rs` | what can happen in one |
//! | `world.rs` | one state, and what can happen in it |
//! | `end.rs` | one end: a connection, its owner, and what is seen of it from outside |
//! | `checks.rs` | what must hold |
//! | `packet.rs` | a segment on its way |

mod cases;
mod checks;
mod end;
mod packet;
mod rules;
mod world;

pub(super) use self::cases::CASES;
pub(super) use self::rules::Rules;
pub(super) use self::world::World;
