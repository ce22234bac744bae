//! Who hosts a conference: what placement asks before it sends somebody to a node.

use crate::mesh_view::{MeshView, RoomHost};
use relay_proto::id::RoomName;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// A question that is being answered.
pub type Asking<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A room directory, as placement uses it. The binary brings the one of the operator's choice.
pub trait RoomDirectory: Send + Sync {
    /// Sees to it that [`Self::hosts`] knows of a conference somebody is about to join. Ends soon in any case, also where the
    /// directory cannot be reached.
    fn ask<'a>(&'a self, room: &'a RoomName) -> Asking<'a>;

    /// Which nodes host the conference, as far as it is known now. Cheap; waits for nothing.
    fn hosts(&self, room: &RoomName) -> Vec<RoomHost>;
}

/// The directory that the mesh itself is: every node knows of every room.
pub struct MeshDirectory(pub(crate) watch::Receiver<Arc<MeshView>>);

impl RoomDirectory for MeshDirectory {
    fn ask<'a>(&'a self, _room: &'a RoomName) -> Asking<'a> {
        Box::pin(std::future::ready(()))
    }

    fn hosts(&self, room: &RoomName) -> Vec<RoomHost> {
        self.0.borrow().hosts(room).to_vec()
    }
}
