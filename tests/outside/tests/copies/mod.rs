//! Modules from the copies of sources, each with one thing changed, that `build.rs` made.

/// Declares a module for each copy.
macro_rules! copies {
    ($($name:ident)*) => {$(
        #[allow(dead_code, unused_variables, clippy::all)]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    )*};
}
