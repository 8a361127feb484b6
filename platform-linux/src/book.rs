#![doc = include_str!("../docs/book.md")]

#[cfg(all(feature = "std", feature = "tls-small"))]
pub mod tls {
    #![doc = include_str!("../docs/tls.md")]
}

#[cfg(feature = "std")]
pub mod other_loops {
    #![doc = include_str!("../docs/other_loops.md")]
}
