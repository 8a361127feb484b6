#![doc = include_str!("../docs/book.md")]

pub mod devices {
    #![doc = include_str!("../docs/devices.md")]
}

pub mod bare_metal {
    #![doc = include_str!("../docs/bare_metal.md")]
}
