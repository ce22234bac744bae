use super::gcm::GcmCipher;
use super::replay::ReplayWindow;
use super::*;
use crate::rtc::testing::{PeerSrtp, RtpFields, rtp_packet};
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider;
use rtc_srtp::crypto::providers::RingProvider;
use rtc_srtp::protection_profile::ProtectionProfile;
use std::time::{Duration, Instant};

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::Aes128Gcm,
    SrtpProfile::Aes256Gcm,
    SrtpProfile::Aes128CmSha1_80,
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn material(profile: SrtpProfile) -> Vec<u8> {
    (0..profile.keying_material_bytes())
        .map(|at| (at * 7 + 3) as u8)
        .collect()
}

/// An opener for what the client of `material` sends, and that client.
fn pair(profile: SrtpProfile, max_ssrcs: usize) -> (SrtpOpener, PeerSrtp) {
    let material = material(profile);
    let (client, _) = split_keying_material(profile, &material).unwrap();
    (
        SrtpOpener::new(profile, client, max_ssrcs),
        PeerSrtp::new(profile, &material),
    )
}

fn packet(ssrc: u32, seq: u16) -> Vec<u8> {
    let fields = RtpFields {
        payload_type: 96,
        marker: false,
        seq,
        time: 1,
        ssrc,
    };
    rtp_packet(fields, &[(1, &[1]), (4, b"mid")], b"twenty bytes payload")
}

fn open(opener: &mut SrtpOpener, now: Instant, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut sealed = sealed.to_vec();
    let header = crate::rtc::rtp::RtpHeader::parse(&sealed).unwrap();
    let len = opener.open_rtp(now, &mut sealed, header.len, header.ssrc, header.seq)?;
    sealed.truncate(len);
    Ok(sealed)
}

const SALT: &str = "51756964 2070726f 2071756f";
const PLAIN_RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 \
    61727465 73207472 6573";
const PLAIN_RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef \
    deadbeef deadbeef deadbeef";

/// RFC 7714 sections 16.1.1 and 16.2.1.
#[test]
fn rtp_is_sealed_as_in_rfc_7714() {
    let expected = [
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf \
         8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 \
         b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    ];
    for (key_len, expected) in [16, 32].into_iter().zip(expected) {
        let key: Vec<u8> = (0..key_len).collect();
        let cipher = GcmCipher::from_session_keys(&key, &bytes(SALT));
        let plain = bytes(PLAIN_RTP);
        let mut packet = plain.clone();
        packet.resize(plain.len() + 16, 0);
        let len = cipher.seal_rtp(&mut packet, 12, plain.len(), 0x5501_a0b2, 0xf17b);
        assert_eq!(packet[..len], bytes(expected));
        assert_eq!(
            cipher.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b),
            Some(plain.len())
        );
        assert_eq!(packet[..plain.len()], plain);
    }
}

/// RFC 7714 section 17.1.
#[test]
fn rtcp_is_sealed_as_in_rfc_7714() {
    let key: Vec<u8> = (0..16).collect();
    let cipher = GcmCipher::from_session_keys(&key, &bytes(SALT));
    let mut packet = bytes(PLAIN_RTCP);
    cipher.seal_rtcp(&mut packet, 0x4d61_7273, 0x5d4);
    let expected = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 \
        86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4";
    assert_eq!(packet, bytes(expected));
    assert_eq!(cipher.open_rtcp(&mut packet, 0x4d61_7273, 0x8000_05d4), Some(52));
    assert_eq!(packet[..52], bytes(PLAIN_RTCP));
}

/// RFC 3711 appendix B.3.
#[test]
fn session_keys_are_derived_as_in_rfc_3711() {
    use super::kdf::{Protocol, Purpose, session_key};
    let (key, salt) = (
        bytes("E1F97A0D3E018BE0D64FA32C06DE4139"),
        bytes("0EC675AD498AFEEBB6960B3AABE6"),
    );
    let master = Master {
        key: &key,
        salt: &salt,
    };
    let encryption: [u8; 16] = session_key(master, Protocol::Rtp, Purpose::Encryption);
    assert_eq!(encryption.to_vec(), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
    let salt: [u8; 14] = session_key(master, Protocol::Rtp, Purpose::Salt);
    assert_eq!(salt.to_vec(), bytes("30CBBC08863D8C85D49DB34A9AE1"));
    let authentication: [u8; 20] = session_key(master, Protocol::Rtp, Purpose::Authentication);
    assert_eq!(
        authentication.to_vec(),
        bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    );
}

fn reference(profile: SrtpProfile, client: bool) -> Context {
    let material = material(profile);
    let (client_keys, server_keys) = split_keying_material(profile, &material).unwrap();
    let master = if client { client_keys } else { server_keys };
    let profile = match profile {
        SrtpProfile::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::Aes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let provider = RingProvider::default();
    Context::new(master.key, master.salt, profile, None, None, provider.crypto()).unwrap()
}

#[test]
fn another_implementation_understands_us_and_we_it_over_two_rollovers() {
    let now = crate::rtc::testing::instant();
    for profile in PROFILES {
        let (mut opener, mut peer) = pair(profile, 4);
        let (mut ref_sealer, mut ref_opener) = (reference(profile, true), reference(profile, true));
        for step in (0..140_000_u32).step_by(997) {
            let plain = packet(77, step as u16);
            let sealed = peer.seal_rtp(plain.clone(), step >> 16);
            assert_eq!(ref_opener.decrypt_rtp(&sealed).unwrap(), plain);
            let theirs = ref_sealer.encrypt_rtp(&plain).unwrap();
            assert_eq!(theirs, sealed, "{profile:?} {step}");
            assert_eq!(open(&mut opener, now, &theirs), Ok(plain));
        }
        for count in 0..5 {
            let plain = PeerSrtp::sender_report(9, 5, count);
            let sealed = peer.seal_rtcp(plain.clone());
            assert_eq!(ref_opener.decrypt_rtcp(&sealed).unwrap(), plain);
            let mut theirs = ref_sealer.encrypt_rtcp(&plain).unwrap().to_vec();
            let len = opener.open_rtcp(now, &mut theirs).unwrap();
            assert_eq!(theirs[..len], plain);
        }
    }
}

#[test]
fn a_packet_opens_once() {
    let now = crate::rtc::testing::instant();
    for profile in PROFILES {
        let (mut opener, mut peer) = pair(profile, 4);
        let sealed: Vec<_> = [5, 3, 4, 2000]
            .iter()
            .map(|seq| peer.seal_rtp(packet(1, *seq), 0))
            .collect();
        for sealed in &sealed {
            assert!(open(&mut opener, now, sealed).is_ok());
            assert_eq!(open(&mut opener, now, sealed), Err(OpenError::Replayed));
        }
        assert_eq!(open(&mut opener, now, &sealed[0]), Err(OpenError::Replayed));
        let report = peer.seal_rtcp(PeerSrtp::pli(3));
        assert!(opener.open_rtcp(now, &mut report.clone()).is_ok());
        assert_eq!(
            opener.open_rtcp(now, &mut report.clone()),
            Err(OpenError::Replayed)
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_leaves_no_state() {
    let now = crate::rtc::testing::instant();
    for profile in PROFILES {
        let (mut opener, mut peer) = pair(profile, 4);
        let sealed = peer.seal_rtp(packet(1, 9), 0);
        // The first byte says where the header ends; it is covered by the other tests of the header.
        for bit in 8..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Some(header) = crate::rtc::rtp::RtpHeader::parse(&flipped) {
                let result = opener.open_rtp(now, &mut flipped, header.len, header.ssrc, header.seq);
                assert_eq!(result, Err(OpenError::Forged), "bit {bit}");
            }
        }
        let report = peer.seal_rtcp(PeerSrtp::pli(3));
        for bit in 0..report.len() * 8 {
            let mut flipped = report.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                opener.open_rtcp(now, &mut flipped),
                Err(OpenError::Forged),
                "bit {bit}"
            );
        }
        assert_eq!(opener.remembered(), 0);
        assert!(open(&mut opener, now, &sealed).is_ok());
    }
}

#[test]
fn authentic_ssrcs_are_bounded_and_only_silent_ones_give_way() {
    let now = crate::rtc::testing::instant();
    let (mut opener, mut peer) = pair(SrtpProfile::Aes128Gcm, 3);
    for ssrc in 1..=3 {
        assert!(open(&mut opener, now, &peer.seal_rtp(packet(ssrc, 1), 0)).is_ok());
    }
    assert_eq!(
        open(&mut opener, now, &peer.seal_rtp(packet(4, 1), 0)),
        Err(OpenError::TooManySsrcs)
    );
    let later = now + Duration::from_secs(6);
    assert!(open(&mut opener, later, &peer.seal_rtp(packet(1, 2), 0)).is_ok());
    assert!(open(&mut opener, later, &peer.seal_rtp(packet(5, 1), 0)).is_ok());
    assert_eq!(
        open(&mut opener, later, &peer.seal_rtp(packet(1, 2), 0)),
        Err(OpenError::Replayed)
    );
    assert_eq!(opener.remembered(), 3);
}

#[test]
fn short_packets_are_refused() {
    let now = crate::rtc::testing::instant();
    for profile in PROFILES {
        let (mut opener, _) = pair(profile, 3);
        for len in 0..40 {
            assert!(opener.open_rtcp(now, &mut vec![0x81; len]).is_err());
            if len >= 12 {
                assert_eq!(
                    opener.open_rtp(now, &mut vec![0x80; len], 12, 1, 1),
                    Err(OpenError::Forged)
                );
            }
        }
    }
}

proptest! {
    /// The reference keeps every index ever seen.
    #[test]
    fn the_window_agrees_with_perfect_memory(
        start in 0_u64..70_000,
        steps in proptest::collection::vec(-1500_i64..3000, 1..400),
    ) {
        let mut window = ReplayWindow::starting_at(start);
        let mut seen = std::collections::BTreeSet::from([start]);
        let mut newest = start;
        for step in steps {
            let index = newest.saturating_add_signed(step);
            let expected = !seen.contains(&index) && index + 1024 > newest;
            prop_assert_eq!(window.is_fresh(index), expected);
            if newest >= 0x8000 || index < newest + 0x8000 && newest.abs_diff(index) < newest.max(1) {
                prop_assert_eq!(window.estimate(index as u16), index);
            }
            if expected {
                window.record(index);
                seen.insert(index);
                newest = newest.max(index);
            }
        }
    }

    #[test]
    fn opening_random_bytes_never_succeeds(content in proptest::collection::vec(any::<u8>(), 12..200)) {
        let now = crate::rtc::testing::instant();
        for profile in PROFILES {
            let (mut opener, _) = pair(profile, 3);
            prop_assert!(opener.open_rtcp(now, &mut content.clone()).is_err());
            if let Some(header) = crate::rtc::rtp::RtpHeader::parse(&content) {
                let mut content = content.clone();
                prop_assert!(opener.open_rtp(now, &mut content, header.len, header.ssrc, header.seq).is_err());
            }
        }
    }
}
