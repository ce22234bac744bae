//! The controlling side of ICE (RFC 8445) towards an SFU: one local socket, a few remote candidates, aggressive enough to
//! be connected after one round trip, and consent kept fresh (RFC 7675).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId, is_stun_message};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

use super::random::Random;

/// Remote candidates that are tried; the rest of an answer is ignored.
const MOST_CANDIDATES: usize = 8;
/// First repetition of a check; each later one waits twice as long, up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_millis(1_600);
/// How often consent is asked for (RFC 7675 section 5.1: 5 s).
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// Without an answer for this long the path is gone (RFC 7675 section 5.1: 30 s).
const CONSENT_EXPIRY: Duration = Duration::from_secs(30);
/// Checks whose answers are still accepted.
const MOST_OUTSTANDING: usize = 16;
/// Answers to the other side's own checks that wait to be sent.
const MOST_QUEUED: usize = 16;
/// Priority of a peer-reflexive candidate (RFC 8445 section 5.1.2: type 110, component 1).
const PRFLX_PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 255;

/// User name fragment and password of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `ice-ufrag`.
    pub ufrag: String,
    /// `ice-pwd`.
    pub password: String,
}

impl Credentials {
    /// Fresh credentials: 24 and 144 bits of the generator.
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            ufrag: random.letters(4),
            password: random.letters(24),
        }
    }
}

struct Outstanding {
    transaction: [u8; 12],
    to: SocketAddr,
    sent_at: Instant,
}

/// One client's ICE agent.
pub(super) struct Ice {
    local: Credentials,
    remote: Option<Credentials>,
    candidates: Vec<SocketAddr>,
    selected: Option<SocketAddr>,
    outstanding: VecDeque<Outstanding>,
    tie_breaker: u64,
    random: Random,
    retry: Duration,
    next_check: Option<Instant>,
    last_answer: Option<Instant>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    round_trip: Option<Duration>,
}

impl Ice {
    pub(super) fn new(local: Credentials, mut random: Random) -> Self {
        Self {
            local,
            remote: None,
            candidates: Vec::new(),
            selected: None,
            outstanding: VecDeque::new(),
            tie_breaker: random.next(),
            random,
            retry: FIRST_RETRY,
            next_check: None,
            last_answer: None,
            transmits: VecDeque::new(),
            round_trip: None,
        }
    }

    /// Takes the answer's credentials and candidates; the first checks are due at once. The same remote side again
    /// changes nothing.
    pub(super) fn set_remote(&mut self, now: Instant, remote: Credentials, candidates: &[SocketAddr]) {
        if self.remote.as_ref() == Some(&remote) {
            return;
        }
        self.remote = Some(remote);
        self.candidates = candidates.iter().copied().take(MOST_CANDIDATES).collect();
        self.selected = None;
        self.outstanding.clear();
        self.retry = FIRST_RETRY;
        self.last_answer = Some(now);
        self.next_check = Some(now);
    }

    /// Where to send, once a check has been answered.
    pub(super) fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Round trip of the newest answered check.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether no check was answered for so long that the path counts as gone.
    pub(super) fn expired(&self, now: Instant) -> bool {
        self.last_answer
            .is_some_and(|at| now.saturating_duration_since(at) >= CONSENT_EXPIRY)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_check
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_check.is_none_or(|at| at > now) {
            return;
        }
        match self.selected {
            Some(to) => {
                self.check(now, to);
                // RFC 7675 section 5.1: between 0.8 and 1.2 of the interval.
                let share = 0.8 + 0.4 * self.random.unit();
                self.next_check = Some(now + CONSENT_INTERVAL.mul_f64(share));
            }
            None => {
                for to in self.candidates.clone() {
                    self.check(now, to);
                }
                self.next_check = Some(now + self.retry);
                self.retry = (self.retry * 2).min(LONGEST_RETRY);
            }
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// Whether a datagram is STUN (RFC 7983: first byte 0 to 3).
    pub(super) fn is_stun(datagram: &[u8]) -> bool {
        datagram.first().is_some_and(|first| *first < 4) && is_stun_message(datagram)
    }

    /// Takes a STUN datagram; false if it is none of ours.
    pub(super) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        let mut message = Message::new();
        if message.unmarshal_binary(datagram).is_err() {
            return false;
        }
        if message.typ == BINDING_SUCCESS {
            self.handle_success(now, &mut message)
        } else if message.typ == BINDING_REQUEST {
            self.handle_request(from, &mut message)
        } else {
            false
        }
    }

    fn handle_success(&mut self, now: Instant, message: &mut Message) -> bool {
        let Some(remote) = &self.remote else {
            return false;
        };
        let key = remote.password.as_bytes();
        if MessageIntegrity::check(message, key, &AwsLcRsCrypto).is_err() {
            return false;
        }
        let ours = |check: &Outstanding| check.transaction == message.transaction_id.0;
        let Some(at) = self.outstanding.iter().position(ours) else {
            return false;
        };
        let Some(check) = self.outstanding.remove(at) else {
            return false;
        };
        self.round_trip = Some(now.saturating_duration_since(check.sent_at));
        self.last_answer = Some(now);
        if self.selected.is_none() {
            self.selected = Some(check.to);
            self.next_check = Some(now + CONSENT_INTERVAL);
        }
        true
    }

    /// Answers the other side's check: full ICE agents send them.
    fn handle_request(&mut self, from: SocketAddr, message: &mut Message) -> bool {
        let key = self.local.password.clone();
        if MessageIntegrity::check(message, key.as_bytes(), &AwsLcRsCrypto).is_err()
            || self.transmits.len() >= MOST_QUEUED
        {
            return false;
        }
        let mapped = XorMappedAddress {
            ip: from.ip(),
            port: from.port(),
        };
        let built = build(
            &[
                Box::new(BINDING_SUCCESS),
                Box::new(message.transaction_id),
                Box::new(mapped),
            ],
            &key,
        );
        match built {
            Some(answer) => {
                self.transmits.push_back((from, answer));
                true
            }
            None => false,
        }
    }

    fn check(&mut self, now: Instant, to: SocketAddr) {
        let Some(remote) = &self.remote else {
            return;
        };
        let mut transaction = [0; 12];
        self.random.fill(&mut transaction);
        let user = format!("{}:{}", remote.ufrag, self.local.ufrag);
        let built = build(
            &[
                Box::new(BINDING_REQUEST),
                Box::new(TransactionId(transaction)),
                Box::new(TextAttribute::new(ATTR_USERNAME, user)),
                Box::new(Raw(ATTR_PRIORITY.0, PRFLX_PRIORITY.to_be_bytes().to_vec())),
                Box::new(Raw(
                    ATTR_ICE_CONTROLLING.0,
                    self.tie_breaker.to_be_bytes().to_vec(),
                )),
                Box::new(Raw(ATTR_USE_CANDIDATE.0, Vec::new())),
            ],
            &remote.password,
        );
        if let Some(datagram) = built {
            if self.outstanding.len() >= MOST_OUTSTANDING {
                self.outstanding.pop_front();
            }
            self.outstanding.push_back(Outstanding {
                transaction,
                to,
                sent_at: now,
            });
            self.transmits.push_back((to, datagram));
        }
    }
}

struct Raw(u16, Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Message) -> rtc_shared::error::Result<()> {
        message.add(rtc_stun::attributes::AttrType(self.0), &self.1);
        Ok(())
    }
}

/// A message with integrity and fingerprint at its end; `None` when an attribute does not fit, which the inputs above
/// never cause.
fn build(parts: &[Box<dyn Setter + '_>], password: &str) -> Option<Vec<u8>> {
    let integrity =
        MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), &AwsLcRsCrypto);
    let mut message = Message::new();
    message.build(parts).ok()?;
    integrity.add_to(&mut message).ok()?;
    FINGERPRINT.add_to(&mut message).ok()?;
    Some(message.raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "127.0.0.1:7882";

    fn pair(now: Instant) -> (Ice, Credentials) {
        let server = Credentials {
            ufrag: "srv".to_owned(),
            password: "serverpasswordserverpass".to_owned(),
        };
        let mut random = Random::new(7);
        let local = Credentials::draw(&mut random);
        let mut ice = Ice::new(local, random);
        ice.set_remote(now, server.clone(), &[SERVER.parse().unwrap()]);
        (ice, server)
    }

    fn answer_to(request: &[u8], password: &str) -> Vec<u8> {
        let mut message = Message::new();
        message.unmarshal_binary(request).unwrap();
        MessageIntegrity::check(&mut message, password.as_bytes(), &AwsLcRsCrypto).unwrap();
        build(
            &[Box::new(BINDING_SUCCESS), Box::new(message.transaction_id)],
            password,
        )
        .unwrap()
    }

    #[test]
    fn the_first_authentic_answer_selects_the_path() {
        let now = Instant::now();
        let (mut ice, server) = pair(now);
        ice.handle_timeout(now);
        let (to, request) = ice.poll_transmit().unwrap();
        let later = now + Duration::from_millis(30);
        let forged = answer_to(&request, &server.password);
        let wrong = build(&[Box::new(BINDING_SUCCESS)], "another").unwrap();
        assert!(!ice.handle_datagram(later, to, &wrong));
        assert_eq!(ice.selected(), None);
        assert!(ice.handle_datagram(later, to, &forged));
        assert_eq!(ice.selected(), Some(SERVER.parse().unwrap()));
        assert_eq!(ice.round_trip(), Some(Duration::from_millis(30)));
        assert!(!ice.handle_datagram(later, to, &forged), "an answer counts once");
    }

    #[test]
    fn checks_are_repeated_ever_more_slowly_and_consent_expires() {
        let now = Instant::now();
        let (mut ice, _) = pair(now);
        let mut times = Vec::new();
        while let Some(at) = ice.poll_timeout() {
            if ice.expired(at) {
                break;
            }
            ice.handle_timeout(at);
            times.push(at.duration_since(now).as_millis());
            assert!(ice.poll_transmit().is_some());
        }
        assert_eq!(times[..5], [0, 100, 300, 700, 1_500]);
        assert!(times.len() < 30, "{times:?}");
    }

    #[test]
    fn a_check_from_the_server_is_answered_only_if_it_knows_our_password() {
        let now = Instant::now();
        let (mut ice, _) = pair(now);
        let from = SERVER.parse().unwrap();
        let ours = ice.local.password.clone();
        let request = |password: &str| build(&[Box::new(BINDING_REQUEST)], password).unwrap();
        assert!(!ice.handle_datagram(now, from, &request("wrong")));
        assert!(ice.poll_transmit().is_none());
        assert!(ice.handle_datagram(now, from, &request(&ours)));
        let (to, answer) = ice.poll_transmit().unwrap();
        assert_eq!(to, from);
        assert!(Ice::is_stun(&answer));
    }
}
