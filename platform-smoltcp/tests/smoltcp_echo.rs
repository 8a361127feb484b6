//! The example of the platform over smoltcp's sockets says hello to itself.

#[expect(dead_code, reason = "its `main` is not called")]
#[path = "../examples/smoltcp_echo.rs"]
mod example;

#[test]
fn what_the_client_says_comes_back() {
    assert_eq!(example::run(), Ok(b"hello".to_vec()));
}
