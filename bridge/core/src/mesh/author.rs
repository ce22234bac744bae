//! Who wrote a row. Ours are signed by a key of this process; what others pass on is believed by its signature alone.
//!
//! Whose key it is, certificates prove: they and the authority of the mesh are the shell's business, behind [`Authority`].
//! What may not live here: which rows are taken (that is `gossip`).

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use relay_proto::codec::row_to_sign;
use relay_proto::id::NodeId;
use relay_proto::row::{IdentityFacts, Row, Signature};
use std::time::{Duration, Instant};

/// How often the proof of our key is renewed: certificates are good for days, and some clocks are wrong by hours.
pub(super) const RENEWAL: Duration = Duration::from_secs(12 * 3600);

/// Whom this node believes to be who they say they are: the authority of the mesh.
pub trait Authority: std::fmt::Debug + Send + Sync {
    /// What proves to others that `public_key` signs the rows of this node; none where no certificate can be used.
    fn vouch(&self, public_key: &[u8; 32]) -> Option<IdentityFacts>;

    /// Whether a certificate of the mesh proves that `facts` names the key of `node`, at this time.
    fn proves(&self, node: NodeId, facts: &IdentityFacts) -> bool;
}

/// What signs our rows.
pub(super) struct Author {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    /// When the proof is renewed.
    pub(super) renew_at: Instant,
}

impl std::fmt::Debug for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Author(…)")
    }
}

impl Author {
    /// The key that follows from `seed`, which must be secret and fresh.
    pub(super) fn new(seed: &[u8; 32], now: Instant) -> Self {
        let seed = super::detour::derive(seed, &[b"author of rows"]);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .expect("invariant: any 32 bytes are the seed of an Ed25519 key");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("invariant: a public key of Ed25519 has 32 bytes");
        Self {
            pair,
            public,
            renew_at: now + RENEWAL,
        }
    }

    pub(super) const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Cost: one signature, about 20 µs.
    pub(super) fn sign(&self, row: &Row) -> Signature {
        let signature = self.pair.sign(&row_to_sign(row));
        let bytes = signature
            .as_ref()
            .try_into()
            .expect("invariant: a signature of Ed25519 has 64 bytes");
        Signature(bytes)
    }
}

/// Whether the owner of `public_key` has signed `row`. Cost: one verification, about 50 µs.
pub(super) fn is_signed(row: &Row, signature: &Signature, public_key: &[u8; 32]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(&row_to_sign(row), &signature.0)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_proto::row::{RowKey, RowValue, RowVersion};

    #[test]
    fn a_signature_is_of_one_row_and_one_key() {
        let now = crate::rtc::testing::instant();
        let [author, other] = [1, 2].map(|seed| Author::new(&[seed; 32], now));
        let row = Row {
            owner: NodeId(7),
            key: RowKey::Host("r".into()),
            version: RowVersion::default(),
            value: RowValue::Gone,
        };
        let signature = author.sign(&row);
        assert!(is_signed(&row, &signature, author.public()));
        assert!(!is_signed(&row, &signature, other.public()));
        let newer = Row {
            version: RowVersion {
                incarnation: 0,
                counter: 1,
            },
            ..row
        };
        assert!(!is_signed(&newer, &signature, author.public()));
    }
}
