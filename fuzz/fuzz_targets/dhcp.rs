#![no_main]
//! Bytes become a DHCP server's answers, and time; see `usockets_tests::smoltcp::dhcp`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::smoltcp::dhcp::fuzz_dhcp(bytes));
