//! Session descriptions of clients, on their way to the shard that reads them.

use super::MeshCore;
use crate::shard::io::ShardCommand;
use relay_proto::id::SessionId;

impl MeshCore {
    pub(super) fn on_apply_offer(&mut self, session: SessionId, offer_id: u32, sdp: String) {
        let offer = ShardCommand::ApplyOffer {
            session,
            offer_id,
            sdp,
        };
        self.pass_to_shard(session, offer);
    }

    pub(super) fn on_apply_answer(&mut self, session: SessionId, offer_id: u32, sdp: String) {
        let answer = ShardCommand::ApplyAnswer {
            session,
            offer_id,
            sdp,
        };
        self.pass_to_shard(session, answer);
    }
}
