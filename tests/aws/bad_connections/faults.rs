//! Faults of a connection, dealt in turns. Which request a fault strikes is random; every kind
//! strikes at some time.

use std::time::Duration;

use compactor_testkit::emulator::keeps_what_half_an_upload_would_replace;
use fastrand::Rng;

use crate::proxy::{Head, Verdict};

/// Longer than one attempt at a call to the queue or the table may take.
const HANG: Duration = Duration::from_secs(7);
/// Longer than the SDK waits for more bytes of an object. It waits 20 seconds for an answer to begin,
/// and a minute for that to a put. That is too long here; `behaviours/snapshots/unanswered_put.rs` tests it.
const SILENCE: Duration = Duration::from_secs(10);
/// Each silence costs a cycle six seconds.
const MOST_SILENCES: u64 = 2;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A wrong byte in an object that is read and whose key contains this text. Digests reveal it.
    WrongByte(&'static str),
    /// Half of an object arrives.
    HalfUpload,
    /// The bytes of an object that is read stop coming.
    Silence,
    /// No answer of the queue or the table before the attempt times out.
    Hang,
    Delay,
    Reset,
    HalfAnswer,
    TooManyRequests,
    SlowDown,
}

/// Kinds that fit few requests come first, so that they get a request that fits.
const KINDS: [Fault; 12] = [
    Fault::WrongByte("/delta.tar.gz"),
    Fault::WrongByte("/chroma.sqlite3"),
    Fault::WrongByte("/manifest.json"),
    Fault::WrongByte("/latest-pointer.txt"),
    Fault::HalfUpload,
    Fault::Silence,
    Fault::Hang,
    Fault::Delay,
    Fault::Reset,
    Fault::HalfAnswer,
    Fault::TooManyRequests,
    Fault::SlowDown,
];

impl Fault {
    fn is_rare(self) -> bool {
        matches!(self, Self::WrongByte(_) | Self::HalfUpload | Self::Silence)
    }

    fn fits(self, head: &Head) -> bool {
        match self {
            // A daemon that cannot open the queue ends, as it should.
            _ if head.line.contains("AmazonSQS.GetQueue") => false,
            Self::WrongByte(part) => reads(head, part),
            Self::HalfUpload => {
                let is_safe = !head.puts_pointer() || keeps_what_half_an_upload_would_replace();
                head.line.starts_with("PUT ") && head.body_bytes() > 1 && is_safe
            }
            Self::Silence => reads(head, "/"),
            // A long poll may take longer.
            Self::Hang => !head.is_of_s3() && !head.line.contains("AmazonSQS.ReceiveMessage"),
            _ => true,
        }
    }

    fn verdict(self, rng: &mut Rng) -> Verdict {
        match self {
            Self::WrongByte(_) => Verdict::WrongByte,
            Self::HalfUpload => Verdict::HalfRequest,
            Self::Silence => Verdict::Stall(SILENCE),
            Self::Hang => Verdict::After(HANG),
            Self::Delay => Verdict::After(Duration::from_millis(rng.u64(100..1500))),
            Self::Reset => Verdict::Reset,
            Self::HalfAnswer => Verdict::HalfAnswer,
            Self::TooManyRequests => Verdict::Refuse(429, "TooManyRequests"),
            Self::SlowDown => Verdict::Refuse(503, "SlowDown"),
        }
    }
}

/// Whether the request reads an object whose key contains `part`.
fn reads(head: &Head, part: &str) -> bool {
    let line = &head.line;
    line.starts_with("GET ") && line.contains(part) && !line.contains("list-type")
}

/// A kind, and when it strikes next.
struct Turn {
    fault: Fault,
    /// How many requests that it could strike pass before it does.
    wait: u64,
    struck: u64,
}

impl Turn {
    fn can_strike(&self, head: &Head) -> bool {
        let is_over = self.fault == Fault::Silence && self.struck >= MOST_SILENCES;
        !is_over && self.fault.fits(head)
    }
}

/// Deals faults over requests.
pub(super) struct Dealer {
    rng: Rng,
    every: u64,
    turns: Vec<Turn>,
}

impl Dealer {
    /// Each kind strikes about one in `every` requests that it fits. A kind that fits few requests
    /// strikes the first of them, and later twice as often.
    pub(super) fn new(seed: u64, every: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let turns = KINDS.map(|fault| Turn {
            fault,
            wait: match fault.is_rare() {
                true => 0,
                false => rng.u64(0..every / 2),
            },
            struck: 0,
        });
        Self {
            rng,
            every,
            turns: turns.into(),
        }
    }

    pub(super) fn deal(&mut self, head: &Head) -> Verdict {
        let Self { rng, every, turns } = self;
        let mut dealt = None;
        for turn in turns.iter_mut().filter(|turn| turn.can_strike(head)) {
            if turn.wait > 0 {
                turn.wait -= 1;
            } else if dealt.is_none() {
                let every = if turn.fault.is_rare() {
                    *every / 2
                } else {
                    *every
                };
                turn.wait = rng.u64(every / 2..=every * 3 / 2);
                turn.struck += 1;
                dealt = Some(turn.fault);
            }
            // Another kind whose turn it is strikes the next request.
        }
        dealt.map_or(Verdict::Pass, |fault| fault.verdict(rng))
    }

    /// How often each kind struck.
    pub(super) fn struck(&self) -> Vec<(Fault, u64)> {
        let turns = self.turns.iter();
        turns.map(|turn| (turn.fault, turn.struck)).collect()
    }
}
