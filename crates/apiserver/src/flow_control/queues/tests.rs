use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1);

fn queued(limit: u32) -> Seats<u64> {
    Seats::new(Mode::Queue { queues: 16, hand_size: 4, length_limit: 50 }, limit)
}

#[test]
fn a_hand_has_different_queues_and_depends_on_the_hash() {
    let hands: BTreeSet<Vec<usize>> = (0..500u64)
        .map(|seed| {
            let hand: Vec<_> = deal(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), 64, 6).collect();
            let different: BTreeSet<_> = hand.iter().collect();
            assert_eq!((different.len(), hand.iter().all(|index| *index < 64)), (6, true), "{hand:?}");
            hand
        })
        .collect();
    assert!(hands.len() > 490, "hands repeat: {}", hands.len());
}

#[test]
fn levels_run_queue_or_turn_away() {
    let mut exempt = Seats::<u64>::new(Mode::Exempt, 0);
    for _ in 0..1000 {
        assert!(matches!(exempt.offer(10, NOW, || 0, || 0), Offer::Run(_)));
    }
    let mut reject = Seats::<u64>::new(Mode::Reject, 1);
    assert!(matches!(reject.offer(1, NOW, || 0, || 0), Offer::Run(_)));
    assert!(matches!(reject.offer(1, NOW, || 0, || 0), Offer::Reject(Reason::ConcurrencyLimit)));
    let mut queue = Seats::<u64>::new(Mode::Queue { queues: 1, hand_size: 1, length_limit: 2 }, 1);
    let offers: Vec<_> = (0..4).map(|who| queue.offer(1, NOW, || 0, || who)).collect();
    assert!(matches!(
        offers.as_slice(),
        [Offer::Run(_), Offer::Wait(_), Offer::Wait(_), Offer::Reject(Reason::QueueFull)]
    ));
    assert_eq!(queue.totals().rejected, 1);
}

#[test]
fn a_wide_request_takes_the_whole_level_and_is_not_overtaken() {
    let mut seats = queued(4);
    let Offer::Run(first) = seats.offer(1, NOW, || 0, || 0) else { panic!("a seat is free") };
    assert!(matches!(seats.offer(9, NOW, || 1, || 1), Offer::Wait(_)));
    assert!(seats.dispatch(NOW).is_empty());
    assert!(matches!(seats.offer(1, NOW, || 2, || 2), Offer::Wait(_)), "it would overtake");
    seats.finish(&first, NOW);
    let next = seats.dispatch(NOW);
    assert_eq!(next.iter().map(|(who, grant)| (*who, grant.seats())).collect::<Vec<_>>(), [(1, 4)]);
}

#[test]
fn a_flood_leaves_a_quiet_flow_its_turn() {
    let mut seats = queued(2);
    let mut running: VecDeque<Grant> = VecDeque::new();
    for _ in 0..150 {
        if let Offer::Run(grant) = seats.offer(1, NOW, || 1 << 40, || 0) {
            running.push_back(grant);
        }
    }
    for _ in 0..10 {
        assert!(matches!(seats.offer(1, NOW, || 0xABCD_EF01, || 1), Offer::Wait(_)));
    }
    let (mut quiet, mut all) = (0, 0);
    let mut now = NOW;
    while quiet < 10 {
        now += Duration::from_millis(10);
        let done = running.pop_front().expect("somebody runs");
        seats.finish(&done, now);
        for (who, grant) in seats.dispatch(now) {
            quiet += who;
            all += 1;
            running.push_back(grant);
        }
    }
    // The flood has up to four queues, the quiet flow at least one.
    assert!(all <= 60, "the quiet flow had to wait for {all} requests");
}

#[derive(Clone, Debug)]
enum Step {
    Come { flow: u64, width: u32 },
    End(usize),
    Leave(usize),
    Limit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u64>(), 1u32..12).prop_map(|(flow, width)| Step::Come { flow, width }),
        3 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (0u32..20).prop_map(Step::Limit),
    ]
}

proptest! {
    #[test]
    fn seats_are_never_oversold_and_nobody_is_lost(steps in prop::collection::vec(step(), 1..300)) {
        let mut seats = queued(8);
        let mut running: Vec<Grant> = Vec::new();
        let mut waiting: Vec<(u64, Ticket)> = Vec::new();
        let (mut came, mut now) = (0u64, NOW);
        for step in steps {
            now += Duration::from_millis(1);
            let before = seats.in_use();
            match step {
                Step::Come { flow, width } => {
                    came += 1;
                    match seats.offer(width, now, || flow, || came) {
                        Offer::Run(grant) => running.push(grant),
                        Offer::Wait(ticket) => waiting.push((came, ticket)),
                        Offer::Reject(reason) => prop_assert_eq!(reason, Reason::QueueFull),
                    }
                }
                Step::End(which) if !running.is_empty() => {
                    let grant = running.swap_remove(which % running.len());
                    seats.finish(&grant, now);
                }
                Step::Leave(which) if !waiting.is_empty() => {
                    let (_, ticket) = waiting.swap_remove(which % waiting.len());
                    prop_assert!(seats.leave(ticket, Reason::Cancelled, now));
                    prop_assert!(!seats.leave(ticket, Reason::Cancelled, now));
                }
                Step::Limit(limit) => seats.set_limit(limit),
                _ => {}
            }
            for (who, grant) in seats.dispatch(now) {
                prop_assert_eq!(waiting.iter().filter(|(waiter, _)| *waiter == who).count(), 1);
                waiting.retain(|(waiter, _)| *waiter != who);
                running.push(grant);
            }
            prop_assert!(seats.in_use() <= seats.limit().max(1).max(before), "{} of {}", seats.in_use(), seats.limit());
            prop_assert_eq!(seats.in_use(), running.iter().map(Grant::seats).sum::<u32>());
            prop_assert_eq!(seats.executing() as usize, running.len());
            prop_assert_eq!(seats.waiting() as usize, waiting.len());
        }
        // Whoever waits gets a turn once the others end.
        while let Some(grant) = running.pop() {
            now += Duration::from_millis(1);
            seats.finish(&grant, now);
            for (who, grant) in seats.dispatch(now) {
                waiting.retain(|(waiter, _)| *waiter != who);
                running.push(grant);
            }
        }
        prop_assert!(waiting.is_empty());
        prop_assert_eq!(seats.in_use(), 0);
    }

    #[test]
    fn of_two_busy_flows_neither_starves(first in any::<u64>(), second in any::<u64>(), width in 1u32..4) {
        let mut seats = queued(4);
        let mut running: VecDeque<Grant> = VecDeque::new();
        let (mut now, mut served) = (NOW, [0u32; 2]);
        let mut waiting = [0u32; 2];
        for _ in 0..400 {
            now += Duration::from_millis(5);
            for (flow, hash) in [(0usize, first), (1, second)] {
                while waiting[flow] < 20 {
                    match seats.offer(if flow == 0 { width } else { 1 }, now, || hash, || flow as u64) {
                        Offer::Run(grant) => running.push_back(grant),
                        Offer::Wait(_) => waiting[flow] += 1,
                        Offer::Reject(reason) => prop_assert!(false, "{:?}", reason),
                    }
                }
            }
            let grant = running.pop_front().expect("somebody runs");
            seats.finish(&grant, now);
            for (who, grant) in seats.dispatch(now) {
                served[who as usize] += 1;
                waiting[who as usize] -= 1;
                running.push_back(grant);
            }
        }
        prop_assert!(served.iter().all(|count| *count >= 20), "{:?}", served);
    }
}
