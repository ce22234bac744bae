//! What seals room streams on detours: a key for each direction between two nodes, agreed by X25519 (RFC 7748) between keys
//! that live as long as their processes. Nodes on the way have neither.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use relay_proto::control::DetourMessage;
use relay_proto::id::NodeId;

/// Salt of everything derived here.
const SALT: &[u8] = b"causeway detour";

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

/// The key pair of this process.
pub(super) struct Identity {
    private: PrivateKey,
    public: [u8; 32],
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// The pair that follows from `seed`, which must be secret and fresh.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let private = derive(seed, &[b"identity"]);
        let private = PrivateKey::from_private_key(&X25519, &private)
            .expect("invariant: any 32 bytes are a private key of X25519");
        let public = private
            .compute_public_key()
            .expect("invariant: every private key of X25519 has a public one");
        let public = public
            .as_ref()
            .try_into()
            .expect("invariant: a public key of X25519 has 32 bytes");
        Self { private, public }
    }

    /// What others are told.
    pub(super) const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The keys between `us` and a node with that public key; none where that is no key.
    pub(super) fn keys_with(&self, us: NodeId, them: NodeId, public: [u8; 32]) -> Option<Keys> {
        let theirs = UnparsedPublicKey::new(&X25519, public);
        let key = |secret: &[u8], from: NodeId, to: NodeId| {
            let key = derive(secret, &[&from.0.to_be_bytes(), &to.0.to_be_bytes()]);
            UnboundKey::new(&CHACHA20_POLY1305, &key).map(LessSafeKey::new)
        };
        let both = |secret: &[u8]| Ok((key(secret, us, them)?, key(secret, them, us)?));
        let (outgoing, incoming) = agree(&self.private, theirs, Unspecified, both).ok()?;
        Some(Keys {
            public,
            outgoing,
            incoming,
        })
    }
}

/// 32 bytes that follow from a secret, for one use.
pub(in crate::mesh) fn derive(secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(info, KeyLength)
        .and_then(|okm| okm.fill(&mut key))
        .expect("invariant: HKDF-SHA256 expands to 32 bytes (RFC 5869 allows 8,160)");
    key
}

/// The keys between this node and another one.
pub(super) struct Keys {
    /// The other's public key, by which they were agreed.
    pub(super) public: [u8; 32],
    outgoing: LessSafeKey,
    incoming: LessSafeKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Seals `step` into the message that is complete but for it.
    pub(super) fn seal(&self, message: &mut DetourMessage, mut step: Vec<u8>) {
        let (nonce, aad) = nonce_and_aad(message);
        self.outgoing
            .seal_in_place_append_tag(nonce, aad, &mut step)
            .expect("invariant: a step is far shorter than the cipher's limit of 256 GiB");
        message.sealed = step;
    }

    /// The opened step of a message; none where it was not sealed by the other node, for us, in that place.
    pub(super) fn open(&self, message: &DetourMessage) -> Option<Vec<u8>> {
        let (nonce, aad) = nonce_and_aad(message);
        let mut step = message.sealed.clone();
        let len = self.incoming.open_in_place(nonce, aad, &mut step).ok()?.len();
        step.truncate(len);
        Some(step)
    }
}

fn nonce_and_aad(message: &DetourMessage) -> (Nonce, Aad<[u8; 16]>) {
    let mut place = [0; 16];
    let words = [message.from.0, message.to.0, message.stream, message.number];
    for (bytes, word) in place.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&place[8..]);
    (Nonce::assume_unique_for_key(nonce), Aad::from(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn message() -> DetourMessage {
        DetourMessage {
            from: A,
            to: B,
            hops: 4,
            stream: 3,
            number: 9,
            sealed: Vec::new(),
        }
    }

    #[test]
    fn only_the_node_it_is_for_opens_a_step_and_only_in_its_place() {
        let [a, b, between] = [1, 2, 3].map(|seed| Identity::new(&[seed; 32]));
        let mut sealed = message();
        let to_b = a.keys_with(A, B, b.public()).unwrap();
        to_b.seal(&mut sealed, b"the seal key of a room".to_vec());
        let from_a = b.keys_with(B, A, a.public()).unwrap();
        assert_eq!(from_a.open(&sealed).unwrap(), b"the seal key of a room");
        assert!(!sealed.sealed.windows(4).any(|window| window == b"seal"));
        let spy = between.keys_with(B, A, a.public()).unwrap();
        assert!(spy.open(&sealed).is_none());
        assert!(
            to_b.open(&sealed).is_none(),
            "not even the sender, as if it were an answer"
        );
        for forged in [
            DetourMessage {
                number: 10,
                ..sealed.clone()
            },
            DetourMessage {
                stream: 4,
                ..sealed.clone()
            },
            DetourMessage {
                from: NodeId(3),
                ..sealed.clone()
            },
        ] {
            assert!(from_a.open(&forged).is_none());
        }
        let passed_on = DetourMessage { hops: 1, ..sealed };
        assert!(from_a.open(&passed_on).is_some());
    }

    #[test]
    fn what_is_no_key_agrees_on_nothing() {
        assert!(Identity::new(&[1; 32]).keys_with(A, B, [0; 32]).is_none());
    }
}
