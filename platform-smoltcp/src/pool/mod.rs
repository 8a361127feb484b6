//! Containers whose links lie in what they contain: slots of a slice, named by their index.
//!
//! [`links`] is what each slot gives them. [`list`] holds lists and rings, [`table`] finds a slot
//! by its key, [`wheel`] by its deadline. All of them allocate nothing, and every operation takes
//! the slice; each is used with one slice only.

pub(crate) mod links;
pub(crate) mod list;
pub(crate) mod table;
pub(crate) mod wheel;
