#![doc = include_str!("../docs/book.md")]

pub mod first_server {
    #![doc = include_str!("../docs/first_server.md")]
}

pub mod memory {
    #![doc = include_str!("../docs/memory.md")]
}

pub mod back_pressure {
    #![doc = include_str!("../docs/back_pressure.md")]
}

pub mod two_protocols {
    #![doc = include_str!("../docs/two_protocols.md")]
}

pub mod proxy_and_broadcast {
    #![doc = include_str!("../docs/proxy_and_broadcast.md")]
}

pub mod upgrading {
    #![doc = include_str!("../docs/upgrading.md")]
}

pub mod from_c {
    #![doc = include_str!("../docs/from_c.md")]
}

pub mod coming_from {
    #![doc = include_str!("../docs/coming_from.md")]
}

pub mod asked {
    #![doc = include_str!("../docs/asked.md")]
}
