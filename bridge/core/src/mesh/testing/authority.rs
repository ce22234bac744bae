//! An authority without certificates: a hash over node and key that only nodes of the same mesh can make.

use crate::mesh::author::Authority;
use aws_lc_rs::hmac;
use relay_proto::id::NodeId;
use relay_proto::row::IdentityFacts;

/// Proves whatever it is asked to prove for its own node, and believes all of its kind. Whoever calls its node by another
/// name imitates somebody who has that node's certificate.
#[derive(Debug)]
pub struct TestAuthority(pub NodeId);

fn tag(node: NodeId, public_key: &[u8; 32]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"the mesh of the simulation");
    let said = [node.0.to_be_bytes().as_slice(), public_key].concat();
    hmac::sign(&key, &said).as_ref().to_vec()
}

impl Authority for TestAuthority {
    fn vouch(&self, public_key: &[u8; 32]) -> Option<IdentityFacts> {
        Some(IdentityFacts {
            public_key: *public_key,
            chain: Vec::new(),
            scheme: 0,
            endorsement: tag(self.0, public_key),
        })
    }

    fn proves(&self, node: NodeId, facts: &IdentityFacts) -> bool {
        facts.endorsement == tag(node, &facts.public_key)
    }
}
