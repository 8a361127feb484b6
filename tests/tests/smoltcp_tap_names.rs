//! A TAP is opened by its name, and made only if that is asked for: a name that is misspelt is an
//! error.
#![cfg(target_os = "linux")]

use usockets::Error;
use usockets_smoltcp::Tap;
use usockets_tests::smoltcp::kernel::{MTU, command, in_namespace};

#[test]
fn a_misspelt_name_is_an_error() {
    in_namespace(|| {
        let share = Tap::share(MTU, false);
        let mut memory = [vec![0; 2 * share], vec![0; 2 * share]];
        let [first, second] = &mut memory;
        let mut open = |name: &str| Tap::open(name, MTU, false, first).map(drop);
        command("ip tuntap add dev us0 mode tap");
        assert_eq!(open("us0"), Ok(()));
        for name in ["uso", "us00", "US0", "us0 "] {
            assert_eq!(open(name), Err(Error::AddressUnavailable), "{name:?}");
            // The first attempt made none.
            assert_eq!(open(name), Err(Error::AddressUnavailable), "{name:?}");
        }
        assert_eq!(open("a name that is too long"), Err(Error::Invalid));
        assert_eq!(open("lo"), Err(Error::Invalid), "it is no TAP");
        let made = Tap::make("us1", MTU, false, second).unwrap();
        assert_eq!(open("us1"), Err(Error::AddressInUse));
        drop(made);
        assert_eq!(
            open("us1"),
            Err(Error::AddressUnavailable),
            "it went with its program"
        );
    });
}
