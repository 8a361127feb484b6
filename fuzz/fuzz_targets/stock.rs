#![no_main]
//! Bytes are what our stack and smoltcp's send across which faults; see
//! `usockets_tests::smoltcp::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::smoltcp::fuzz::fuzz_stock(bytes));
