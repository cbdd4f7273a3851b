//! What becomes of each datagram that a socket of many peers receives. The one place that decides when
//! anything is kept of a client: after its ClientHello came back with a cookie.

mod routes;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use underseal_record::ProtocolVersion;
use underseal_record::dtls::{ClientHello, ConnectionId, CookieKey};
use underseal_sys::udp::Path;

use super::counters::ListenerTally;
use super::event::{self, Established, Event, Pending};
use super::group::{Member, Steering};
use super::handshake::{self, Finished, Handshake, Handshakes, HelloTag};
use super::peer::send_once;
use super::table::Table;
use super::{DtlsAcceptor, DtlsPeer, ListenerConfig, Unadmitted};
use crate::association::{Association, EarlyRecord, copy};
use crate::drive::TICK;
use crate::handover::HandedOver;
use crate::{ConnectionIds, Discard, Error, Parts};

/// Bytes of a record's header, without connection ID.
const HEADER_LEN: usize = 13;
/// Where a record's epoch is, and where its connection ID starts (RFC 9146 section 4).
const EPOCH: usize = 3;
const CONNECTION_ID: usize = 11;
/// `tls12_cid`, the type of a record with a connection ID.
const TLS12_CID: u8 = 25;
/// How long a cookie is made for; it is believed as long again.
const COOKIE_PERIOD: Duration = Duration::from_secs(60);
/// Most ClientHellos that a client has sent before the one that counts: it repeats none of them under
/// another number, so that more than one are those of a cookie that had grown old.
const MAX_HELLOS: u16 = 3;
/// How often associations are looked at that may be over.
const SWEEP: Duration = Duration::from_secs(1);

/// Makes cookies. Listeners of one address share it: the kernel may give a client's second ClientHello
/// to another one.
pub(super) struct Cookies {
    pub(super) key: CookieKey,
    pub(super) since: Instant,
}

impl Cookies {
    fn period(&self) -> u64 {
        self.since.elapsed().as_secs() / COOKIE_PERIOD.as_secs()
    }
}

pub(super) struct Demultiplexer {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) acceptor: DtlsAcceptor,
    pub(super) config: ListenerConfig,
    pub(super) cookies: Arc<Cookies>,
    pub(super) member: Option<Member>,
    pub(super) tally: Arc<ListenerTally>,
    pub(super) table: Table,
    pub(super) admits: bool,
    handshakes: Handshakes,
    pending: VecDeque<Pending>,
    next_id: u64,
    swept: Instant,
}

impl Demultiplexer {
    pub(super) fn new(
        socket: Arc<UdpSocket>,
        acceptor: DtlsAcceptor,
        config: ListenerConfig,
        cookies: Arc<Cookies>,
        member: Option<Member>,
    ) -> Self {
        Self {
            socket,
            acceptor,
            config,
            cookies,
            member,
            tally: Arc::default(),
            table: Table::default(),
            admits: true,
            handshakes: HashMap::new(),
            pending: VecDeque::new(),
            next_id: 0,
            swept: Instant::now(),
        }
    }

    /// What the application is to be told next; a payload is in `buffer`.
    pub(super) fn next(&mut self, buffer: &mut [u8]) -> Option<Event> {
        loop {
            match self.pending.pop_front()? {
                Pending::Event(event) => return Some(event),
                Pending::Copied(origin, len) => return Some(origin.datagram(len)),
                Pending::Held(origin, payload) => {
                    return Some(origin.datagram(copy(&payload, buffer)));
                }
                Pending::Early(peer, path, record) => {
                    // What it makes comes before what was pending behind it.
                    let behind = std::mem::take(&mut self.pending);
                    self.take_early(&peer, path, &record, buffer);
                    event::put_behind(&mut self.pending, behind);
                }
            }
        }
    }

    /// Takes what came before the end of the handshake, unless the association is over: its end was told.
    fn take_early(&mut self, peer: &DtlsPeer, path: Path, record: &EarlyRecord, buffer: &mut [u8]) {
        if !self.table.has(peer) {
            return self.tally.records.dropped(Discard::Ended);
        }
        let deliver = event::delivery(&mut self.pending, &self.tally, peer, path, buffer);
        let answer = &mut |answer: &[u8]| peer.answer(answer);
        peer.association().take_early(record, answer, deliver);
        self.end_if_over(peer);
    }

    /// After how long [`tick`](Self::tick) is due, if it is at all.
    pub(super) fn pace(&self) -> Option<Duration> {
        match (self.handshakes.is_empty(), self.table.len()) {
            (false, _) => Some(TICK),
            (true, 0) => None,
            (true, _) => Some(SWEEP),
        }
    }

    /// Takes a datagram that the socket has received. A payload in it is copied to `buffer`, for the call
    /// of [`next`](Self::next) that follows.
    pub(super) fn arrive(&mut self, path: Path, datagram: &mut [u8], buffer: &mut [u8]) {
        let from = path.peer;
        let Some(head) = datagram.first_chunk::<HEADER_LEN>() else {
            return self.tally.unadmitted(Unadmitted::Truncated);
        };
        if head[0] == TLS12_CID {
            return self.arrive_by_id(path, datagram, buffer);
        }
        let is_plain = head[EPOCH..EPOCH + 2] == [0, 0];
        let hello = match is_plain {
            true => ClientHello::parse(datagram).map_err(Unadmitted::from),
            false => Err(Unadmitted::Address),
        };
        let reason = match hello {
            Ok(hello) => return self.hello(path, &hello, datagram),
            Err(reason) => reason,
        };
        let handshakes = self.handshakes.contains_key(&from);
        // While a client that has an association makes another one, what it sends may be for either.
        if handshakes && (self.drive(from, Some(datagram)) || is_plain) {
            return;
        }
        match self.table.at(from).cloned() {
            Some(peer) => self.open(&peer, path, datagram, buffer),
            None if handshakes => {}
            None => self.elsewhere(path, datagram, reason),
        }
    }

    fn arrive_by_id(&mut self, path: Path, datagram: &mut [u8], buffer: &mut [u8]) {
        let id = datagram.get(CONNECTION_ID..CONNECTION_ID + self.config.id_len());
        let id = id.and_then(|id| ConnectionId::new(id).ok());
        if let Some(peer) = id.and_then(|id| self.table.with_id(&id)).cloned() {
            return self.open(&peer, path, datagram, buffer);
        }
        let member = self.member.as_ref();
        match id.and_then(|id| Some((member?.elsewhere_by_id(&id)?, id))) {
            Some((worker, id)) => {
                self.forward(worker, Steering::Id(id), path, datagram);
            }
            None => self.tally.unadmitted(Unadmitted::ConnectionId),
        }
    }

    /// A ClientHello without a cookie of ours is answered with one, and forgotten.
    fn hello(&mut self, path: Path, hello: &ClientHello<'_>, datagram: &[u8]) {
        let from = path.peer;
        let (key, period) = (&self.cookies.key, self.cookies.period());
        if !key.verifies(from, period, hello) {
            let cookie = key.cookie(from, period, hello);
            self.tally.verify_requests.one();
            // It may have grown old on its way from another worker, and the client never come again.
            self.forget(from);
            return send_once(&self.socket, &hello.hello_verify_request(&cookie), &path);
        }
        let tag = HelloTag::of(hello);
        if self.handshakes.get(&from).is_some_and(|one| one.is_of(tag)) {
            self.drive(from, Some(datagram));
            return;
        }
        let known = self.table.at(from);
        if known.is_some_and(|peer| peer.is_of(tag)) {
            // It came again, and later than the end of its handshake.
            return self.tally.unadmitted(Unadmitted::Address);
        }
        let is_new = known.is_none() && !self.handshakes.contains_key(&from);
        if is_new && self.hand_on(path, hello, datagram) {
            return;
        }
        match self.refusal(is_new, hello) {
            Some(reason) => {
                self.tally.unadmitted(reason);
                self.forget(from);
            }
            None => {
                self.make_way_for(from, is_new);
                self.begin(path, hello, datagram);
            }
        }
    }

    /// Why no handshake is begun with a client that has shown its cookie.
    fn refusal(&self, is_new: bool, hello: &ClientHello<'_>) -> Option<Unadmitted> {
        let has_no_place = self.table.len() >= self.config.max_associations;
        if hello.message_seq() > MAX_HELLOS {
            Some(Unadmitted::Malformed)
        } else if !self.admits || (has_no_place && is_new) {
            Some(Unadmitted::Associations)
        } else if self.config.max_handshakes == 0 {
            Some(Unadmitted::Handshakes)
        } else {
            None
        }
    }

    /// Whether associations and handshakes have all the places that there are.
    fn is_full(&self) -> bool {
        self.table.len() + self.handshakes.len() >= self.config.max_associations
    }

    /// Has a handshake give way to that of a client that has shown its cookie, where there are as many as
    /// may be: a few that never answer would keep everybody out.
    fn make_way_for(&mut self, from: SocketAddr, is_new: bool) {
        let is_crowded = self.handshakes.len() >= self.config.max_handshakes;
        let is_one_more = !self.handshakes.contains_key(&from);
        if is_one_more && (is_crowded || (is_new && self.is_full())) {
            self.make_way();
        }
    }

    fn make_way(&mut self) {
        if let Some(address) = handshake::gives_way(&self.handshakes) {
            self.handshakes.remove(&address);
            self.fail(address, Error::HandshakeTimedOut);
        }
    }

    /// Begins a handshake, in the place of one that the client has given up.
    fn begin(&mut self, path: Path, hello: &ClientHello<'_>, datagram: &[u8]) {
        let from = path.peer;
        self.tally.handshakes.one();
        self.claim(from);
        let deadline = Instant::now() + self.config.handshake_timeout;
        match self.acceptor.begin(hello) {
            Ok(stream) => {
                let handshake = Handshake::new(stream, path, HelloTag::of(hello), deadline);
                self.handshakes.insert(from, Box::new(handshake));
                self.drive(from, Some(datagram));
            }
            Err(why) => self.fail(from, why),
        }
    }

    /// Goes on with the handshake of a client. Returns whether that ended it.
    fn drive(&mut self, from: SocketAddr, datagram: Option<&[u8]>) -> bool {
        let Some(handshake) = self.handshakes.get_mut(&from) else {
            return false;
        };
        let (socket, path) = (&self.socket, handshake.path());
        let driven = handshake.drive(datagram, &mut |flight| send_once(socket, flight, &path));
        if matches!(driven, Ok(false)) {
            return false;
        }
        let (handshake, tally) = (self.handshakes.remove(&from), &self.tally.records);
        let finished = driven.and_then(|_| handshake.map(|one| one.finish(tally)).transpose());
        match finished {
            Ok(Some(finished)) => self.establish(path, finished),
            Ok(None) => {}
            Err(why) => self.fail(from, why),
        }
        true
    }

    fn establish(&mut self, path: Path, finished: Finished) {
        let ids = ConnectionIds::default();
        let HandedOver {
            parts,
            flight,
            early: records,
        } = finished.handed_over;
        let peer = self.insert(path, parts, ids, flight, Some(finished.hello));
        let established = Established::new(peer.clone(), finished.agreed);
        self.tell(Event::Established(established));
        // The application attaches its programs when it is told: they judge what is opened later.
        let early = |record| Pending::Early(peer.clone(), path, record);
        self.pending.extend(records.into_iter().map(early));
    }

    fn fail(&mut self, address: SocketAddr, why: Error) {
        self.tally.handshakes_failed.one();
        self.forget(address);
        self.tell(Event::HandshakeFailed { address, why });
    }

    /// Adds an association whose handshake was made elsewhere.
    pub(super) fn add(
        &mut self,
        address: SocketAddr,
        parts: Parts,
        ids: ConnectionIds,
    ) -> Result<DtlsPeer, Error> {
        let id = &ids.receive;
        let is_ambiguous = id.len() != self.config.id_len() || self.table.with_id(id).is_some();
        // Records of DTLS 1.3 are found by their address alone.
        let is_found = id.is_empty() || parts.receive.version() == ProtocolVersion::Tls12;
        if !is_found || (!id.is_empty() && is_ambiguous) {
            return Err(Error::ConnectionId);
        }
        let is_new = !id.is_empty() || self.table.at(address).is_none();
        if is_new && self.table.len() >= self.config.max_associations {
            return Err(Error::TooManyAssociations);
        }
        let member = self.member.as_ref();
        if !id.is_empty() && member.is_some_and(|member| !member.take_id(*id)) {
            return Err(Error::ConnectionId);
        }
        if is_new && self.is_full() {
            self.make_way();
        }
        if id.is_empty() {
            self.claim(address);
        }
        Ok(self.insert(address.into(), parts, ids, Vec::new(), None))
    }

    fn insert(
        &mut self,
        path: Path,
        parts: Parts,
        ids: ConnectionIds,
        flight: Vec<Vec<u8>>,
        hello: Option<HelloTag>,
    ) -> DtlsPeer {
        let records = Arc::clone(&self.tally.records);
        let association = Association::counted_by(records, parts.into_engines(), ids, flight);
        let (socket, number) = (Arc::downgrade(&self.socket), self.next_id);
        self.next_id += 1;
        let peer = DtlsPeer::new(association, socket, path, number, ids.receive, hello);
        if let Some(peer) = self.table.insert(peer.clone()) {
            // Its peer has other keys now, and would not understand a close_notify under these.
            peer.association().close(&mut |_| {});
            let why = Error::Replaced;
            self.tell(Event::Ended { peer, why });
        }
        peer
    }

    /// Opens what came for an association. Only what is authentic leaves a trace.
    fn open(&mut self, peer: &DtlsPeer, path: Path, datagram: &mut [u8], buffer: &mut [u8]) {
        let deliver = event::delivery(&mut self.pending, &self.tally, peer, path, buffer);
        let (association, len) = (peer.association(), datagram.len());
        association.open(datagram, len, &mut |answer| peer.answer(answer), deliver);
        self.end_if_over(peer);
    }

    /// Forgets an association that what came has ended.
    fn end_if_over(&mut self, peer: &DtlsPeer) {
        if let Some(why) = peer.association().ended() {
            // Also where it is no record that has ended it, but this side's program: nobody receives for it any more.
            peer.close();
            // Of one that is not here any more the end was told.
            if self.table.remove(peer) {
                self.end(peer.clone(), why);
            }
        }
    }

    /// Looks at whatever ends, or is repeated, because time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        let waiting: Vec<_> = self.handshakes.keys().copied().collect();
        for address in waiting {
            if !self.drive(address, None) && self.handshakes[&address].is_late(now) {
                self.handshakes.remove(&address);
                self.fail(address, Error::HandshakeTimedOut);
            }
        }
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let (limit, mut over) = (self.config.idle_timeout, Vec::new());
        self.table.sweep(|peer| {
            let association = peer.association();
            association.forget_keys();
            association.tick(&mut |again| peer.answer(again));
            let why = if peer.association().is_closed() {
                Error::Closed
            } else if peer.is_silent(now, limit) {
                peer.close();
                Error::Silent
            } else {
                return false;
            };
            over.push((peer.clone(), why));
            true
        });
        for (peer, why) in over {
            self.end(peer, why);
        }
    }

    /// An association is over, and has left the table.
    fn end(&mut self, peer: DtlsPeer, why: Error) {
        match (&self.member, peer.receive_id().is_empty()) {
            (Some(member), false) => member.forget_id(peer.receive_id()),
            _ => self.forget(peer.address()),
        }
        self.tell(Event::Ended { peer, why });
    }

    fn tell(&mut self, event: Event) {
        self.pending.push_back(Pending::Event(event));
    }
}

impl Drop for Demultiplexer {
    /// Nobody receives for its associations any more: they end, and those who would go on sending are told.
    fn drop(&mut self) {
        self.table.peers().for_each(DtlsPeer::close);
    }
}

#[cfg(test)]
mod tests;
