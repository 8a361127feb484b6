#![no_main]
//! Bytes are control messages of a datagram; see `usockets_tests::control`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::control::fuzz_control(bytes));
