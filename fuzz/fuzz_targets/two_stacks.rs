#![no_main]
//! Bytes are what two stacks send across which faults; see `usockets_tests::smoltcp::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::smoltcp::fuzz::fuzz_two_stacks(bytes));
