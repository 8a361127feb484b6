#![no_main]
//! Bytes become packets of every format; see `usockets_tests::smoltcp::codecs`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::smoltcp::codecs::fuzz_codecs(bytes));
