//! Faults on request, for tests of clients. Only where the node is configured for it (`testing.simulate`).

use super::requests::refused;
use super::{Around, Effect, Now, Phase, Session};
use crate::protocol::{LeaveAction, LeaveReason, Refusal, Reply, Scenario};
use relay_proto::room::{LeaveCause, SpeakerLevel};
use relay_proto::session::SessionCommand;
use relay_proto::unit::AudioLevel;
use std::time::{Duration, Instant};

/// Longest speech that is simulated.
const LONGEST_SPEECH: Duration = Duration::from_secs(60);
/// How loud it is: 0 is loudest, 127 silence.
const SPEECH: AudioLevel = AudioLevel(5);
const SILENCE: AudioLevel = AudioLevel(127);

/// What is being simulated.
#[derive(Debug, Default)]
pub(super) struct Simulation {
    speech_ends: Option<Instant>,
    /// The next resume is cut off; whether before anything is said.
    cut_resume: Option<bool>,
}

impl Simulation {
    pub(super) const fn due(&self) -> Option<Instant> {
        self.speech_ends
    }
}

impl Session {
    pub(super) fn simulate(&mut self, scenario: Scenario, around: Around<'_>, out: &mut Vec<Effect>) {
        if !around.site.simulate {
            refused(around.site);
            let message = "faults are simulated only where testing.simulate is set";
            return self.done(0, Refusal::NotAllowed, message, out);
        }
        tracing::warn!(session = %self.id, room = %self.room, ?scenario, "simulating");
        match scenario {
            Scenario::Speaking { seconds } => self.speak(seconds, around.now, out),
            Scenario::NodeFailure => self.fail(out),
            Scenario::ServerLeave => self.send_away(LeaveAction::Disconnect, out),
            Scenario::FullReconnect => self.send_away(LeaveAction::Reconnect, out),
            Scenario::DisconnectOnResume { without_messages } => {
                self.simulation.cut_resume = Some(without_messages);
            }
            Scenario::Other(what) => {
                let message = format!("{what} is not simulated by this server");
                self.done(0, Refusal::Unsupported, &message, out);
            }
        }
    }

    fn speak(&mut self, seconds: u32, now: Now, out: &mut Vec<Effect>) {
        let length = Duration::from_secs(seconds.into()).min(LONGEST_SPEECH);
        self.simulation.speech_ends = Some(now.monotonic + length);
        self.tell_speaking(true, out);
    }

    pub(super) fn end_speech(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.simulation.speech_ends.is_some_and(|at| at <= now.monotonic) {
            self.simulation.speech_ends = None;
            self.tell_speaking(false, out);
        }
    }

    fn tell_speaking(&self, active: bool, out: &mut Vec<Effect>) {
        let level = SpeakerLevel {
            participant: self.sid.clone(),
            level: if active { SPEECH } else { SILENCE },
            active,
        };
        self.tell(Reply::Speakers(vec![level]), out);
    }

    /// As if the node were gone: not a word to the client, nothing left of it here.
    fn fail(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        self.command(
            SessionCommand::CloseSession {
                session: self.id,
                cause: LeaveCause::NodeLost,
            },
            out,
        );
        out.push(Effect::Close(self.id));
    }

    fn send_away(&mut self, action: LeaveAction, out: &mut Vec<Effect>) {
        self.end(LeaveReason::ServerShutdown, action, LeaveCause::NodeStopped, out);
    }

    /// Cuts the connection that goes on with the session where that is simulated: `said` is whether it has been told
    /// something by now.
    pub fn cut_resume(&mut self, said: bool, out: &mut Vec<Effect>) {
        if self.simulation.cut_resume == Some(!said) {
            self.simulation.cut_resume = None;
            out.push(Effect::Disconnect(self.id));
        }
    }
}
