//! Who talks when: spurts and pauses after ITU-T P.59, alone or in turns.

use std::time::Duration;

use crate::wan::model::random::SplitMix64;

/// Mean length of a talk spurt and of a pause (ITU-T P.59, table 1).
const SPURT_S: f64 = 1.004;
const PAUSE_S: f64 = 1.587;
/// Shortest spurt: a syllable.
const SHORTEST_S: f64 = 0.2;
/// Share of turns that begin before the last one has ended (P.59: 6.6 % double talk).
const OVERLAP: f64 = 0.2;
/// Mean silence between turns (with the spurts about P.59's 22.5 % mutual silence).
const BETWEEN_TURNS_S: f64 = 0.35;
/// Mean number of spurts of one turn: people finish their thought.
const SPURTS_PER_TURN: f64 = 3.0;
/// Pause between the spurts of one turn.
const WITHIN_TURN_S: f64 = 0.3;

/// A stretch in which somebody talks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spurt {
    pub(super) who: usize,
    pub(super) from: Duration,
    pub(super) until: Duration,
}

fn exponential(random: &mut SplitMix64, mean: f64) -> f64 {
    -mean * (1.0 - random.next_unit()).ln()
}

fn pick(random: &mut SplitMix64, count: usize) -> usize {
    ((random.next_unit() * count as f64) as usize).min(count.saturating_sub(1))
}

/// One talker by himself until `end`.
pub(super) fn alone(random: &mut SplitMix64, who: usize, end: Duration) -> Vec<Spurt> {
    let end_s = end.as_secs_f64();
    let mut spurts = Vec::new();
    let mut at = exponential(random, PAUSE_S);
    while at < end_s {
        let length = exponential(random, SPURT_S).max(0.02);
        spurts.push(spurt(who, at, (at + length).min(end_s)));
        at += length + exponential(random, PAUSE_S).max(0.02);
    }
    spurts
}

/// `count` people in turns until `end`; nobody overlaps himself.
pub(super) fn turns(random: &mut SplitMix64, count: usize, end: Duration) -> Vec<Spurt> {
    let end_s = end.as_secs_f64();
    let mut spurts: Vec<Spurt> = Vec::new();
    let mut free_at = vec![0.0_f64; count];
    let mut last = count;
    let mut at = exponential(random, BETWEEN_TURNS_S);
    while at < end_s && count > 0 {
        let mut who = pick(random, count);
        if who == last && count > 1 {
            who = (who + 1) % count;
        }
        last = who;
        let mut start = at.max(free_at[who] + WITHIN_TURN_S);
        let number = 1 + exponential(random, SPURTS_PER_TURN - 1.0) as usize;
        let mut length = 0.0;
        for _ in 0..number {
            if start >= end_s {
                break;
            }
            length = exponential(random, SPURT_S).max(SHORTEST_S);
            spurts.push(spurt(who, start, (start + length).min(end_s)));
            free_at[who] = start + length;
            start += length + exponential(random, WITHIN_TURN_S).max(0.05);
        }
        at = if random.next_unit() < OVERLAP {
            free_at[who] - length * 0.3 * random.next_unit()
        } else {
            free_at[who] + exponential(random, BETWEEN_TURNS_S)
        };
    }
    spurts
}

fn spurt(who: usize, from_s: f64, until_s: f64) -> Spurt {
    Spurt {
        who,
        from: Duration::from_secs_f64(from_s.max(0.0)),
        until: Duration::from_secs_f64(until_s.max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn talking(spurts: &[Spurt]) -> f64 {
        spurts
            .iter()
            .map(|spurt| (spurt.until - spurt.from).as_secs_f64())
            .sum()
    }

    #[test]
    fn one_talker_talks_as_much_as_p59_says() {
        let share = talking(&alone(&mut SplitMix64::new(5), 0, HOUR)) / HOUR.as_secs_f64();
        assert!((share - 0.387).abs() < 0.02, "{share}");
    }

    #[test]
    fn in_turns_usually_one_talks_and_nobody_twice_at_once() {
        let spurts = turns(&mut SplitMix64::new(9), 6, HOUR);
        for who in 0..6 {
            let own: Vec<&Spurt> = spurts.iter().filter(|spurt| spurt.who == who).collect();
            assert!(own.len() > 50);
            assert!(own.windows(2).all(|pair| pair[0].until <= pair[1].from));
        }
        let (mut none, mut one, mut more) = (0, 0, 0);
        for tenth in 0..36_000_u64 {
            let at = Duration::from_millis(tenth * 100);
            match spurts
                .iter()
                .filter(|spurt| spurt.from <= at && at < spurt.until)
                .count()
            {
                0 => none += 1,
                1 => one += 1,
                _ => more += 1,
            }
        }
        assert!(
            one > 20_000 && more < 4_000 && none > 4_000,
            "{none} {one} {more}"
        );
    }
}
