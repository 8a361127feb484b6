//! What the examples call of glib and libuv. No binding of these libraries is needed for so little.

pub mod glib;
pub mod uv;
