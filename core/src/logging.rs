//! What loops do, told to a logger: features `log` and `defmt`. Without them nothing is left of it.

/// Tells a logger of an event. The format is a literal with a `{:?}` for each value.
macro_rules! log_event {
    ($level:ident, $format:literal $(, $value:expr)*) => {{
        #[cfg(feature = "log")]
        log::$level!(target: "usockets", $format $(, $value)*);
        #[cfg(feature = "defmt")]
        defmt::$level!($format $(, defmt::Debug2Format(&$value))*);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        {
            $(let _ = &$value;)*
        }
    }};
}

pub(crate) use log_event;
