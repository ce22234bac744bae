//! One connection to etcd from its beginning to its end: the lease that our entries live by, what we say, and what we follow.

use super::desk::Desk;
use super::entry::{self, Keys};
use super::grpc::{CallError, Channel, Orders};
use super::messages::{
    DeleteRangeRequest, Event, KeyValue, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest,
    LeaseKeepAliveResponse, LeaseRevokeRequest, LeaseRevokeResponse, Operation, PutRequest, RangeRequest,
    RequestOp, TxnRequest, TxnResponse, WatchCancelRequest, WatchCreateRequest, WatchOrder, WatchRequest,
    WatchResponse,
};
use bridge_core::mesh::directory::{DirectoryAnswer, HostEntry};
use relay_proto::id::RoomName;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

/// Most operations in one transaction; etcd takes 128 (`--max-txn-ops`).
const BATCH: usize = 100;
/// How long it stays written that a node has left a room: whoever has lost its watch for a moment still learns of it.
const LEFT_FOR: Duration = Duration::from_secs(15);
/// How often what is due is looked after.
const TICK: Duration = Duration::from_secs(1);

/// The lease of this node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// The same for each process of this node.
    pub(super) id: i64,
    pub(super) seconds: i64,
    /// Whether this process has had it already.
    pub(super) begun: bool,
}

/// What is followed of one room.
struct Followed {
    room: RoomName,
    /// What its keys begin with.
    of_room: Vec<u8>,
    /// Everything up to this revision is known.
    since: i64,
}

/// A connection that works.
pub(super) struct Session<'a> {
    channel: Channel,
    desk: &'a Desk,
    keys: &'a Keys,
    lease: Lease,
    core: &'a mpsc::Sender<DirectoryAnswer>,
    orders: Orders<WatchRequest>,
    watches: BTreeMap<i64, Followed>,
    ids: BTreeMap<RoomName, i64>,
    last_id: i64,
    /// Rooms that we have left and have said so, and until when that stays written.
    left: VecDeque<(Instant, RoomName, HostEntry)>,
    renew_at: Instant,
}

impl<'a> Session<'a> {
    /// Takes the lease, or takes it up again. Everything that was said and asked before is said and asked again.
    pub(super) async fn open(
        channel: Channel,
        (desk, keys): (&'a Desk, &'a Keys),
        lease: &mut Lease,
        core: &'a mpsc::Sender<DirectoryAnswer>,
    ) -> Result<(Self, Streaming<WatchResponse>), CallError> {
        take(&channel, lease).await?;
        // etcd begins to answer once there is a watch.
        let first = WatchOrder::Create(WatchCreateRequest {
            key: keys.nothing(),
            watch_id: 1,
            ..WatchCreateRequest::default()
        });
        let (orders, answers) = channel
            .stream("/etcdserverpb.Watch/Watch", WatchRequest::from(first))
            .await?;
        let now = Instant::now();
        desk.say_all_again(now);
        desk.ask_all_again();
        let session = Self {
            channel,
            desk,
            keys,
            lease: *lease,
            core,
            orders,
            watches: BTreeMap::new(),
            ids: BTreeMap::new(),
            last_id: 1,
            left: VecDeque::new(),
            renew_at: now,
        };
        Ok((session, answers))
    }

    /// Carries everything to and fro until something breaks.
    pub(super) async fn run(&mut self, mut answers: Streaming<WatchResponse>) -> Result<(), CallError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.say().await?;
            self.follow().await?;
            tokio::select! {
                () = self.desk.changed() => {}
                _ = ticks.tick() => self.tick().await?,
                answer = answers.message() => match answer? {
                    Some(answer) => self.on_answer(answer).await?,
                    None => return Err(CallError::Lost("the watch has ended".to_owned())),
                },
            }
        }
    }

    /// Ends the lease, and all our entries with it.
    pub(super) async fn end(&self) -> Result<(), CallError> {
        revoke(&self.channel, self.lease.id).await
    }

    async fn tick(&mut self) -> Result<(), CallError> {
        let now = Instant::now();
        self.desk.end_watches(now);
        if now >= self.renew_at {
            self.renew_at = now + Duration::from_secs(self.lease.seconds.unsigned_abs()) / 3;
            if !is_renewed(&self.channel, self.lease.id).await? {
                return Err(CallError::Lost("the lease has ended".to_owned()));
            }
        }
        let due = self
            .left
            .iter()
            .take_while(|(at, ..)| *at <= now)
            .count()
            .min(BATCH);
        let over: Vec<_> = self.left.drain(..due).collect();
        let operations = over.iter().map(|(_, room, entry)| {
            self.desk.forget_left(room, entry);
            let key = self.keys.ours(room);
            (room, Operation::Delete(DeleteRangeRequest { key }))
        });
        // Whoever has come back meanwhile has written something else there.
        let back = |room: &RoomName| self.desk.speaks_of(room);
        let operations: Vec<RequestOp> = operations
            .filter(|(room, _)| !back(room))
            .map(|(_, operation)| operation.into())
            .collect();
        if !operations.is_empty() {
            self.transact(operations).await?;
        }
        Ok(())
    }

    /// Writes what the desk has to say.
    async fn say(&mut self) -> Result<(), CallError> {
        loop {
            let entries = self.desk.unsaid(BATCH);
            if entries.is_empty() {
                return Ok(());
            }
            let put = |(room, entry): &(RoomName, HostEntry)| {
                let put = PutRequest {
                    key: self.keys.ours(room),
                    value: entry::written(entry),
                    lease: self.lease.id,
                };
                RequestOp::from(Operation::Put(put))
            };
            self.transact(entries.iter().map(put).collect()).await?;
            self.desk.said(&entries);
            let until = Instant::now() + LEFT_FOR;
            let left = entries
                .into_iter()
                .filter(|(_, entry)| entry.participants.is_none());
            self.left.extend(left.map(|(room, entry)| (until, room, entry)));
        }
    }

    /// Begins and ends watches as the desk wants.
    async fn follow(&mut self) -> Result<(), CallError> {
        let turned = self.desk.turned();
        let (begin, end): (Vec<_>, Vec<_>) = turned.into_iter().partition(|(_, watched)| *watched);
        for (room, _) in end {
            if let Some(watch_id) = self.ids.remove(&room) {
                self.watches.remove(&watch_id);
                let cancel = WatchOrder::Cancel(WatchCancelRequest { watch_id });
                self.orders.send(WatchRequest::from(cancel)).await?;
            }
        }
        let begin: Vec<RoomName> = begin.into_iter().map(|(room, _)| room).collect();
        for rooms in begin.chunks(BATCH) {
            self.ask(rooms).await?;
        }
        Ok(())
    }

    /// Asks for everything of some rooms, and for what follows where it is not followed yet.
    async fn ask(&mut self, rooms: &[RoomName]) -> Result<(), CallError> {
        let limit = self.desk.max_hosts() as i64;
        let range = |room: &RoomName| {
            let key = self.keys.of_room(room);
            let range_end = entry::end_of(&key);
            RequestOp::from(Operation::Range(RangeRequest {
                key,
                range_end,
                limit,
            }))
        };
        let answer = self.transact(rooms.iter().map(range).collect()).await?;
        let since = answer.header.map_or(0, |header| header.revision);
        if answer.responses.len() != rooms.len() || since <= 0 {
            return Err(CallError::Foreign(
                "a transaction with other answers than questions".to_owned(),
            ));
        }
        for (room, response) in rooms.iter().zip(answer.responses) {
            let of_room = self.keys.of_room(room);
            let kvs = response.range.unwrap_or_default().kvs;
            let hosts = kvs.iter().filter_map(|kv| self.read(kv, &of_room)).collect();
            if let Some(answer) = self.desk.learn_all(room, hosts) {
                self.tell(answer).await?;
            }
            self.watch(room, of_room, since).await?;
        }
        Ok(())
    }

    async fn watch(&mut self, room: &RoomName, of_room: Vec<u8>, since: i64) -> Result<(), CallError> {
        if let Some(followed) = self.ids.get(room).and_then(|id| self.watches.get_mut(id)) {
            followed.since = since;
            return Ok(());
        }
        self.last_id += 1;
        let create = WatchOrder::Create(WatchCreateRequest {
            range_end: entry::end_of(&of_room),
            key: of_room.clone(),
            start_revision: since + 1,
            watch_id: self.last_id,
        });
        let room = room.clone();
        self.ids.insert(room.clone(), self.last_id);
        let followed = Followed { room, of_room, since };
        self.watches.insert(self.last_id, followed);
        self.orders.send(WatchRequest::from(create)).await
    }

    async fn on_answer(&mut self, answer: WatchResponse) -> Result<(), CallError> {
        let Some(followed) = self.watches.get(&answer.watch_id) else {
            // It crossed with the end of the watch.
            return Ok(());
        };
        let room = followed.room.clone();
        if answer.canceled {
            self.watches.remove(&answer.watch_id);
            self.ids.remove(&room);
            if answer.compact_revision == 0 {
                return Err(CallError::Lost(format!(
                    "a watch was ended: {}",
                    answer.cancel_reason
                )));
            }
            // etcd does not remember that far back any more.
            self.desk.ask_again(room);
            return Ok(());
        }
        let mut news = None;
        for event in &answer.events {
            let Some(kv) = event.kv.as_ref().filter(|kv| kv.mod_revision > followed.since) else {
                continue;
            };
            let Some(node) = entry::node_of(&kv.key, &followed.of_room) else {
                self.note_garbage();
                continue;
            };
            let entry = (event.kind != Event::DELETED).then(|| self.read(kv, &followed.of_room));
            news = self.desk.learn_one(&room, node, entry.flatten());
        }
        match news {
            Some(news) => self.tell(news).await,
            None => Ok(()),
        }
    }

    fn read(&self, kv: &KeyValue, of_room: &[u8]) -> Option<HostEntry> {
        let entry = entry::node_of(&kv.key, of_room).and_then(|node| entry::read(node, &kv.value));
        if entry.is_none() {
            self.note_garbage();
        }
        entry
    }

    fn note_garbage(&self) {
        if self.desk.counters().garbage.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("the directory holds something that no node has written there; it is ignored");
        }
    }

    async fn tell(&self, answer: DirectoryAnswer) -> Result<(), CallError> {
        let told = self.core.send(answer).await;
        told.map_err(|_| CallError::Lost("the node stops".to_owned()))
    }

    async fn transact(&self, success: Vec<RequestOp>) -> Result<TxnResponse, CallError> {
        self.channel
            .call("/etcdserverpb.KV/Txn", TxnRequest { success })
            .await
    }
}

/// Takes the lease. What a former process of this node has left ends; what this one has said before, stays.
async fn take(channel: &Channel, lease: &mut Lease) -> Result<(), CallError> {
    if lease.begun {
        if is_renewed(channel, lease.id).await? {
            return Ok(());
        }
    } else {
        revoke(channel, lease.id).await?;
    }
    let question = LeaseGrantRequest {
        ttl: lease.seconds,
        id: lease.id,
    };
    match channel
        .call::<_, LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", question)
        .await
    {
        Ok(answer) if !answer.error.is_empty() => return Err(CallError::Foreign(answer.error)),
        Ok(_) => {}
        // The answer to a former attempt was lost.
        Err(error) if error.is(Code::FailedPrecondition) => {}
        Err(error) => return Err(error),
    }
    lease.begun = true;
    Ok(())
}

async fn is_renewed(channel: &Channel, id: i64) -> Result<bool, CallError> {
    let question = LeaseKeepAliveRequest { id };
    let answer: LeaseKeepAliveResponse = channel
        .call("/etcdserverpb.Lease/LeaseKeepAlive", question)
        .await?;
    Ok(answer.ttl > 0)
}

async fn revoke(channel: &Channel, id: i64) -> Result<(), CallError> {
    let question = LeaseRevokeRequest { id };
    let answer = channel
        .call::<_, LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", question)
        .await;
    match answer {
        Err(error) if !error.is(Code::NotFound) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
