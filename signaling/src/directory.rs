//! Who hosts a conference, where the mesh does not tell every node: what placement asks before it sends somebody to one.

use crate::mesh_view::RoomHost;
use relay_proto::id::RoomName;
use std::pin::Pin;

/// A question that is being answered.
pub type Asking<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A room directory outside of the mesh, as placement uses it. The binary brings the one of the operator's choice, if any.
pub trait RoomDirectory: Send + Sync {
    /// Sees to it that [`Self::hosts`] knows of a conference somebody is about to join. Ends soon in any case, also where the
    /// directory cannot be reached.
    fn ask<'a>(&'a self, room: &'a RoomName) -> Asking<'a>;

    /// Which nodes host the conference, as far as it is known now, besides those that the mesh tells of. Waits for nothing.
    fn hosts(&self, room: &RoomName) -> Vec<RoomHost>;
}
