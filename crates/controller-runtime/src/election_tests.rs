use proptest::prelude::*;

use super::*;

fn moment(origin: Instant, millis: u64) -> Moment {
    Moment {
        instant: origin + Duration::from_millis(millis),
        wall: Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(millis).unwrap()).unwrap(),
        chance: 0.5,
    }
}

fn election(identity: &str, origin: Instant) -> Election {
    Election::new("kube-system", "kube-scheduler", identity, Timing::default(), origin)
}

/// A Lease as the API gives it: with a resource version.
fn held_by(holder: &str, version: u64) -> Lease {
    let metadata = ObjectMeta { resource_version: Some(version.to_string()), ..ObjectMeta::default() };
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

fn spec(effect: Result<Effect, LeadershipLost>) -> LeaseSpec {
    match effect {
        Ok(Effect::Create(lease) | Effect::Replace(lease)) => lease.spec.unwrap(),
        other => panic!("not a write: {other:?}"),
    }
}

/// A leader whose first hold began at 0.
fn leader(origin: Instant) -> Election {
    let mut election = election("a", origin);
    let now = moment(origin, 0);
    assert_eq!(election.handle(Event::Due, now), Ok(Effect::Read));
    let Ok(Effect::Create(mut lease)) = election.handle(Event::Read(None), now) else { panic!("no create") };
    lease.metadata.resource_version = Some("1".to_owned());
    let wait = Ok(Effect::WaitUntil(origin + Duration::from_secs(2)));
    assert_eq!(election.handle(Event::Written(lease), now), wait);
    assert!(election.is_leader());
    election
}

#[test]
fn the_first_creates_the_lease() {
    let origin = Instant::now();
    let mut election = election("a", origin);
    assert_eq!(election.handle(Event::Due, moment(origin, 0)), Ok(Effect::Read));
    let created = spec(election.handle(Event::Read(None), moment(origin, 10)));
    assert_eq!(created.holder_identity.as_deref(), Some("a"));
    assert_eq!((created.lease_duration_seconds, created.lease_transitions), (Some(15), Some(0)));
    assert_eq!(created.acquire_time, created.renew_time);
    assert!(!election.is_leader(), "only the written Lease makes a leader");
}

#[test]
fn a_candidate_waits_until_the_hold_has_run_out() {
    let origin = Instant::now();
    let mut election = election("b", origin);
    struct Case {
        at: u64,
        version: u64,
        claims: bool,
    }
    // The time runs from when a change was seen, whatever clock wrote it.
    let cases = [
        Case { at: 0, version: 1, claims: false },
        Case { at: 14_000, version: 2, claims: false },
        Case { at: 28_999, version: 2, claims: false },
        Case { at: 29_000, version: 2, claims: true },
    ];
    for Case { at, version, claims } in cases {
        let now = moment(origin, at);
        assert_eq!(election.handle(Event::Due, now), Ok(Effect::Read));
        let effect = election.handle(Event::Read(Some(held_by("a", version))), now);
        if !claims {
            let pause = Duration::from_secs(2).mul_f64(1.6);
            assert_eq!(effect, Ok(Effect::WaitUntil(now.instant + pause)), "{at}");
            continue;
        }
        let claim = spec(effect);
        assert_eq!(claim.holder_identity.as_deref(), Some("b"));
        assert_eq!((claim.lease_transitions, claim.acquire_time), (Some(4), Some(MicroTime(now.wall))));
    }
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let origin = Instant::now();
    let mut election = election("b", origin);
    election.handle(Event::Due, moment(origin, 0)).unwrap();
    let claim = spec(election.handle(Event::Read(Some(held_by("", 7))), moment(origin, 0)));
    assert_eq!(claim.holder_identity.as_deref(), Some("b"));
}

#[test]
fn a_leader_renews_without_reading_and_keeps_its_times() {
    let origin = Instant::now();
    let mut election = leader(origin);
    let renewal = spec(election.handle(Event::Due, moment(origin, 2000)));
    assert_eq!(renewal.renew_time, Some(MicroTime(moment(origin, 2000).wall)));
    assert_eq!(renewal.acquire_time, Some(MicroTime(moment(origin, 0).wall)));
    assert_eq!(renewal.lease_transitions, Some(0));
}

#[test]
fn a_failed_renewal_is_looked_into_then_tried_until_the_deadline() {
    let origin = Instant::now();
    let mut election = leader(origin);
    let mut at = 2000;
    while at < 10_000 {
        election.handle(Event::Due, moment(origin, at)).unwrap();
        assert_eq!(election.handle(Event::Failed, moment(origin, at)), Ok(Effect::Read), "{at}");
        let next = (at + 2000).min(10_000);
        let wait = Ok(Effect::WaitUntil(origin + Duration::from_millis(next)));
        assert_eq!(election.handle(Event::Failed, moment(origin, at)), wait, "{at}");
        assert!(election.is_leader());
        at = next;
    }
    assert_eq!(election.handle(Event::Due, moment(origin, 10_000)), Err(LeadershipLost));
    assert!(!election.is_leader());
    let late = Event::Written(held_by("a", 9));
    assert_eq!(election.handle(late, moment(origin, 10_001)), Err(LeadershipLost), "lost is lost");
}

#[test]
fn a_leader_that_sees_another_gives_up_at_once() {
    let origin = Instant::now();
    let mut election = leader(origin);
    election.handle(Event::Due, moment(origin, 2000)).unwrap();
    election.handle(Event::Failed, moment(origin, 2000)).unwrap();
    let read = Event::Read(Some(held_by("b", 5)));
    assert_eq!(election.handle(read, moment(origin, 2000)), Err(LeadershipLost));
}

#[test]
fn only_the_holder_gives_the_lease_back() {
    let origin = Instant::now();
    let election = leader(origin);
    assert_eq!(election.release(&held_by("b", 5), Timestamp::UNIX_EPOCH), None);
    let free = election.release(&held_by("a", 5), Timestamp::UNIX_EPOCH).unwrap().spec.unwrap();
    assert_eq!((free.holder_identity.as_deref(), free.lease_duration_seconds), (Some(""), Some(1)));
    assert_eq!(free.lease_transitions, Some(3));
}

#[test]
fn times_that_cannot_work_are_refused() {
    let seconds = |lease, renew_deadline, retry| {
        let [lease, renew_deadline, retry] = [lease, renew_deadline, retry].map(Duration::from_secs);
        Timing { lease, renew_deadline, retry }.check().err()
    };
    for (timing, error) in [
        (seconds(15, 10, 2), None),
        (seconds(0, 10, 2), Some(InvalidTiming::LeaseTooShort)),
        (seconds(10, 10, 2), Some(InvalidTiming::DeadlineTooLong)),
        (seconds(15, 10, 9), Some(InvalidTiming::RetryTooLong)),
        (seconds(15, 10, 0), Some(InvalidTiming::NoRetry)),
    ] {
        assert_eq!(timing, error);
    }
}

/// What one call does: how long the request takes, how long the answer, and whether each arrives.
#[derive(Clone, Copy, Debug)]
struct Call {
    request: u64,
    answer: u64,
    request_lost: bool,
    answer_lost: bool,
}

fn call() -> impl Strategy<Value = Call> {
    (1..4000u64, 0..4000u64, prop::bool::weighted(0.15), prop::bool::weighted(0.15)).prop_map(
        |(request, answer, request_lost, answer_lost)| Call { request, answer, request_lost, answer_lost },
    )
}

/// A candidate and the call or wait that it has under way, all in milliseconds.
struct Peer {
    election: Election,
    calls: Vec<Call>,
    next_call: usize,
    /// When the server sees the call, and when the candidate hears of it (or gives up).
    arrives: Option<(u64, Effect)>,
    returns: u64,
    /// Whether the answer arrives in time.
    heard: bool,
    event: Event,
}

/// When the network is well again.
const HEALED: u64 = 120_000;
const WELL: Call = Call { request: 5, answer: 5, request_lost: false, answer_lost: false };

impl Peer {
    fn call(&self, now: u64) -> Call {
        if now >= HEALED { WELL } else { self.calls[self.next_call % self.calls.len()] }
    }

    fn start(&mut self, origin: Instant, effect: Effect, now: u64) {
        let since = |instant: Instant| u64::try_from((instant - origin).as_millis()).unwrap();
        if let Effect::WaitUntil(due) = effect {
            (self.arrives, self.returns, self.event) = (None, since(due).max(now + 1), Event::Due);
            return;
        }
        let call = self.call(now);
        self.next_call += 1;
        let limit = self.election.deadline().map_or(now + 5000, |deadline| since(deadline).min(now + 5000));
        let answered = now + call.request + call.answer;
        self.heard = !call.request_lost && !call.answer_lost && answered < limit;
        self.arrives = (!call.request_lost).then_some((now + call.request, effect));
        self.returns = if self.heard { answered } else { limit }.max(now + 1);
        self.event = Event::Failed;
    }
}

/// The API's side: a Lease with optimistic concurrency.
fn serve(lease: &mut Option<Lease>, version: &mut u64, effect: Effect) -> Event {
    let new = match effect {
        Effect::Read => return Event::Read(lease.clone()),
        Effect::Create(new) if lease.is_none() => new,
        Effect::Replace(new)
            if lease.as_ref().map(|l| &l.metadata.resource_version)
                == Some(&new.metadata.resource_version) =>
        {
            new
        }
        _ => return Event::Failed,
    };
    *version += 1;
    let metadata = ObjectMeta { resource_version: Some(version.to_string()), ..new.metadata };
    let new = Lease { metadata, ..new };
    *lease = Some(new.clone());
    Event::Written(new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However slow and lossy the API is, two never lead at the same time; and once it is well, one does.
    #[test]
    fn two_never_lead_and_one_does_in_the_end(calls in prop::collection::vec(prop::collection::vec(call(), 8..40), 3)) {
        let origin = Instant::now();
        let (mut lease, mut version) = (None, 0);
        let mut peers: Vec<Peer> = calls.into_iter().enumerate().map(|(number, calls)| Peer {
            election: election(&format!("peer-{number}"), origin),
            calls, next_call: 0, arrives: None, returns: 0, heard: false, event: Event::Due,
        }).collect();
        for now in 0..180_000u64 {
            for peer in &mut peers {
                if let Some((_, effect)) = peer.arrives.take_if(|(at, _)| *at == now) {
                    let answer = serve(&mut lease, &mut version, effect);
                    if peer.heard {
                        peer.event = answer;
                    }
                }
                if peer.returns != now {
                    continue;
                }
                let event = std::mem::replace(&mut peer.event, Event::Failed);
                match peer.election.handle(event, moment(origin, now)) {
                    Ok(effect) => peer.start(origin, effect, now),
                    // The process ends and another takes its place.
                    Err(LeadershipLost) => {
                        let identity = format!("{}'", peer.election.identity);
                        peer.election = election(&identity, origin + Duration::from_millis(now));
                        (peer.arrives, peer.returns, peer.event) = (None, now + 1, Event::Due);
                    }
                }
            }
            let leaders = peers.iter().filter(|peer| peer.election.is_leader()).count();
            prop_assert!(leaders <= 1, "{} leaders at {} ms", leaders, now);
            // A lease, a candidate's longest pause, and a call that was lost before.
            prop_assert!(now < HEALED + 30_000 || leaders == 1, "nobody leads at {} ms", now);
        }
    }
}
