//! The trace of RFC 8448, section 3, byte for byte. The values are the RFC's.

use crate::tls::crypto::provider::{
    Crypto, Group, HashAlgorithm, Hasher, Machine, Private, Secret, Shared, Suite,
};
use crate::tls::crypto::rustcrypto::{RustCrypto, Sha2};
use crate::tls::handshake::hello::{ClientHello, ServerHello};
use crate::tls::record::parts::Parts;
use crate::tls::record::protection::{Content, Keys};
use crate::tls::record::schedule::{Schedule, finished};
use crate::tls::wire::Output;

/// The client's hello.
const CLIENT_HELLO: &str = "\
    010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece70000\
    06130113031302010000910000000b0009000006736572766572ff01000100000a00140012001d00\
    17001800190100010101020103010400230000003300260024001d002099381de560e4bd43d23d8e\
    435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e040305030603\
    020308040805080604010501060102010402050206020202002d00020101001c00024001";
/// The server's hello.
const SERVER_HELLO: &str = "\
    020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e269280013\
    0100002e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b0\
    4e751f0f002b00020304";
/// `EncryptedExtensions`, `Certificate`, `CertificateVerify` and `Finished` of the server.
const FLIGHT: &str = "\
    080000240022000a00140012001d00170018001901000101010201030104001c0002400100000000\
    0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a864886f70d01010b\
    0500300e310c300a06035504031303727361301e170d3136303733303031323335395a170d323630\
    3733303031323335395a300e310c300a0603550403130372736130819f300d06092a864886f70d01\
    0101050003818d0030818902818100b4bb498f8279303d980836399b36c6988c0c68de55e1bdb826\
    d3901a2461eafd2de49a91d015abbc9a95137ace6c1af19eaa6af98c7ced43120998e187a80ee0cc\
    b0524b1b018c3e0b63264d449a6d38e22a5fda430846748030530ef0461c8ca9d9efbfae8ea6d1d0\
    3e2bd193eff0ab9a8002c47428a6d35a8d88d79f7f1e3f0203010001a31a301830090603551d1304\
    023000300b0603551d0f0404030205a0300d06092a864886f70d01010b05000381810085aad2a0e5\
    b9276b908c65f73a7267170618a54c5f8a7b337d2df7a594365417f2eae8f8a58c8f8172f9319cf3\
    6b7fd6c55b80f21a03015156726096fd335e5e67f2dbf102702e608ccae6bec1fc63a42a99be5c3e\
    b7107c3c54e9b9eb2bd5203b1c3b84e0a8b2f759409ba3eac9d91d402dcc0cc8f8961229ac9187b4\
    2b4de100000f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145ab3ff52\
    f1fda8477b0b7abc90db78e2d33a5c141a078653fa6bef780c5ea248eeaaa785c4f394cab6d30bbe\
    8d4859ee511f602957b15411ac027671459e46445c9ea58c181e818e95b8c3fb0bf3278409d3be15\
    2a3da5043e063dda65cdf5aea20d53dfacd42f74f3140000209b9b141d906337fbd2cbdce71df4de\
    da4ab42c309572cb7fffee5454b78f0718";
/// The same as a protected record.
const RECORD: &str = "\
    17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf40aa40a\
    a2b8ea73f848a7ca07612ef9f945cb960b4068905123ea78b111b429ba9191cd05d2a389280f5261\
    34aadc7fc78c4b729df828b5ecf7b13bd9aefb0e57f271585b8ea9bb355c7c79020716cfb9b1183e\
    f3ab20e37d57a6b9d7477609aee6e122a4cf51427325250c7d0e509289444c9b3a648f1d71035d2e\
    d65b0e3cdd0cbae8bf2d0b227812cbb360987255cc744110c453baa4fcd610928d809810e4b7ed1a\
    8fd991f06aa6248204797e36a6a73b70a2559c09ead686945ba246ab66e5edd8044b4c6de3fcf2a8\
    9441ac66272fd8fb330ef8190579b3684596c960bd596eea520a56a8d650f563aad27409960dca63\
    d3e688611ea5e22f4415cf9538d51a200c27034272968a264ed6540c84838d89f72c24461aad6d26\
    f59ecaba9acbbb317b66d902f4f292a36ac1b639c637ce343117b659622245317b49eeda0c6258f1\
    00d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e1b7a6c7178af36879018e3f252107f24\
    3d243dc7339d5684c8b0378bf30244da8c87c843f5e56eb4c5e8280a2b48052cf93b16499a66db7c\
    ca71e4599426f7d461e66f99882bd89fc50800becca62d6c74116dbd2972fda1fa80f85df881edbe\
    5a37668936b335583b599186dc5c6918a396fa48a181d6b6fa4f9d62d513afbb992f2b992f67f8af\
    e67f76913fa388cb5630c8ca01e0c65d11c66a1e2ac4c85977b7c7a6999bbf10dc35ae69f5515614\
    636c0b9b68c19ed2e31c0b3b66763038ebba42f3b38edc0399f3a9f23faa63978c317fc9fa66a73f\
    60f0504de93b5b845e275592c12335ee340bbc4fddd502784016e4b3be7ef04dda49f4b440a30cb5\
    d2af939828fd4ae3794e44f94df5a631ede42c1719bfdabf0253fe5175be898e750edc53370d2b";

const HASH: HashAlgorithm = HashAlgorithm::Sha256;
const SUITE: Suite = Suite::Aes128GcmSha256;

/// A machine that nothing is asked of.
struct Idle;

impl Machine for Idle {
    fn random(&mut self, _: &mut [u8]) -> bool {
        false
    }

    fn unix_seconds(&self) -> u64 {
        0
    }
}

type Provider = RustCrypto<Idle>;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty() && pairs.len() == N);
    core::array::from_fn(|n| {
        let pair = core::str::from_utf8(&pairs[n]).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    })
}

fn secret(text: &str) -> Secret {
    let mut secret = Secret::ZERO;
    secret.get_mut(HASH).copy_from_slice(&hex::<32>(text));
    secret
}

fn check(made: &Secret, expected: &str) {
    assert_eq!(made.get(HASH), hex::<32>(expected));
}

/// The schedule up to the handshake secret, and the transcript up to the server's hello.
fn handshake() -> (Schedule, Sha2) {
    let mut private = Private::ZERO;
    private.0[..32].copy_from_slice(&hex::<32>(
        "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005",
    ));
    let server_hello = hex::<90>(SERVER_HELLO);
    let hello = ServerHello::parse(&server_hello[4..]).unwrap();
    assert_eq!(hello.suite, SUITE.code());
    let (group, share) = hello.share.unwrap();
    assert_eq!(group, Group::X25519.code());
    let mut shared = Shared::EMPTY;
    RustCrypto::new(Idle)
        .agree(Group::X25519, &private, share, &mut shared)
        .unwrap();
    let expected = "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d";
    assert_eq!(shared.get(), hex::<32>(expected));

    let schedule = Schedule::handshake::<Sha2>(HASH, None, shared.get());
    let mut transcript = Sha2::new(HASH);
    transcript.update(&hex::<196>(CLIENT_HELLO));
    transcript.update(&server_hello);
    let expected = "860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8";
    check(&transcript.digest(), expected);
    (schedule, transcript)
}

#[test]
fn hellos() {
    let hello = hex::<196>(CLIENT_HELLO);
    let hello = ClientHello::parse(&hello[4..]).unwrap();
    assert_eq!(hello.server_name, Some(&b"server"[..]));
    assert_eq!(hello.record_size_limit, Some(0x4001));
    assert!(hello.suites().eq([0x1301, 0x1303, 0x1302]));
    let share = hello.share(Group::X25519.code()).unwrap().unwrap();
    let expected = "99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c";
    assert_eq!(share, hex::<32>(expected));
    assert!(hello.psk_with_exchange && hello.psk.is_none() && !hello.early_data);
}

#[test]
fn secrets_of_the_handshake() {
    let (schedule, transcript) = handshake();
    let digest = transcript.digest();
    check(
        &schedule.derive::<Sha2>(HASH, b"c hs traffic", &digest),
        "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21",
    );
    check(
        &schedule.derive::<Sha2>(HASH, b"s hs traffic", &digest),
        "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
    );
}

#[test]
fn secrets_of_the_data() {
    let (schedule, mut transcript) = handshake();
    let client = schedule.derive::<Sha2>(HASH, b"c hs traffic", &transcript.digest());
    let server = schedule.derive::<Sha2>(HASH, b"s hs traffic", &transcript.digest());
    let schedule = schedule.master::<Sha2>(HASH);
    let flight = hex::<657>(FLIGHT);
    let (proof, end) = flight.split_at(657 - 36);
    transcript.update(proof);
    let made = finished::<Sha2>(HASH, &server, &transcript.digest());
    assert_eq!(made.get(HASH), &end[4..]);
    transcript.update(end);
    let digest = transcript.digest();
    for (label, expected) in [
        (
            &b"c ap traffic"[..],
            "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
        ),
        (
            b"s ap traffic",
            "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
        ),
        (
            b"exp master",
            "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50",
        ),
    ] {
        check(&schedule.derive::<Sha2>(HASH, label, &digest), expected);
    }
    check(
        &finished::<Sha2>(HASH, &client, &digest),
        "a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61",
    );
}

#[test]
fn the_protected_flight() {
    let traffic = secret("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    let mut crypto = RustCrypto::new(Idle);
    let flight = hex::<657>(FLIGHT);
    let expected = hex::<679>(RECORD);
    let mut keys = Keys::new::<Provider>(SUITE, &traffic);
    let mut buffer = [0; 700];
    let mut out = Output::new(&mut buffer);
    let parts = [&flight[..300], &[], &flight[300..]];
    let taken = keys
        .seal(
            &mut crypto,
            SUITE,
            Content::Handshake,
            &mut Parts::new(&parts),
            16_384,
            &mut out,
        )
        .unwrap();
    assert_eq!(taken, flight.len());
    assert_eq!(out.filled(), expected);

    let mut keys = Keys::new::<Provider>(SUITE, &traffic);
    let (header, body) = buffer[..679].split_at_mut(5);
    let opened = keys.open(&mut crypto, SUITE, header, body).unwrap();
    assert_eq!(opened, (Content::Handshake, flight.len()));
    assert_eq!(buffer[5..5 + 657], flight);
}
