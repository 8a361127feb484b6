//! Bodies for fuzzers. Each takes any bytes and panics only if something is wrong.

mod platform;
mod suite;
mod values;

use std::path::{Path, PathBuf};

use usockets::proxy::{ProxyHeader, ProxyParsed, ProxyValues, ProxyVersion};

use crate::model::{Case, run};

pub use self::platform::fuzz_platform;
pub use self::suite::fuzz_suite;
pub use self::values::{fuzz_frame_queues, fuzz_values};

/// Returns the files of a fuzzer's committed corpus.
///
/// # Panics
/// There is none of that name.
#[must_use]
pub fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

/// Lets bytes decide what a simulated network answers and what random programs do, against the
/// model. See [`model`](crate::model).
///
/// # Panics
/// The loop and the model disagree, or not everything comes to its end.
pub fn fuzz_events(bytes: &[u8]) {
    let case = Case::of_bytes(bytes);
    if let Some(wrong) = run(&case, false).wrong {
        panic!("{wrong}\nin {case:?}");
    }
}

/// Parses bytes as a header of the PROXY protocol: what is whole is so however much follows, each
/// beginning of it is partial, and a line or a short binary header is written as it was read.
///
/// # Panics
/// One of these does not hold.
pub fn fuzz_proxy(bytes: &[u8]) {
    match ProxyHeader::parse(bytes) {
        ProxyParsed::Whole(header, len) => {
            let front = &bytes[..len];
            assert_eq!(ProxyHeader::parse(front), ProxyParsed::Whole(header, len));
            for end in 0..len {
                match ProxyHeader::parse(&bytes[..end]) {
                    ProxyParsed::Partial(need) => assert!(need > end && need <= len),
                    parsed => panic!("{parsed:?} of the first {end} bytes"),
                }
            }
            let values = ProxyValues::of(front);
            let size: usize = values.map(|(_, value)| value.len() + 3).sum();
            assert!(size <= len);
            let mut written = [0; 107];
            for version in [ProxyVersion::One, ProxyVersion::Two] {
                let len = header.write(version, &mut written).expect("room for 107");
                let again = ProxyHeader::parse(&written[..len]);
                assert_eq!(again, ProxyParsed::Whole(header, len));
            }
        }
        ProxyParsed::Partial(need) => assert!(need > bytes.len()),
        ProxyParsed::Invalid => {}
    }
}
