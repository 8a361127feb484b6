#![no_main]
//! Bytes become frames into a stack, and calls between them; see `usockets_tests::smoltcp::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::smoltcp::fuzz::fuzz_frames(bytes));
