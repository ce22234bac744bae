use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn shape() -> impl Strategy<Value = Rounds> {
    (1_usize..5, 1_usize..7, 0_usize..6).prop_map(|(servers, wanted, most_rejected)| Rounds {
        servers,
        wanted,
        most_rejected,
        tolerance: 0.1,
    })
}

#[test]
fn the_second_round_begins_with_the_other_server() {
    use Contender::{Floor, Server};
    let rounds = Rounds {
        servers: 2,
        ..Rounds::default()
    };
    let (a, b) = (Server(0), Server(1));
    assert_eq!(rounds.order(0), [Floor, a, b, b, a, Floor]);
    assert_eq!(rounds.order(1), [Floor, b, a, a, b, Floor]);
}

#[test]
fn a_floor_that_moves_by_more_than_a_tenth_is_measured_again() {
    for (second, rejected) in [
        (109.0, 0),
        (111.0, 1),
        (92.0, 0),
        (90.0, 1),
        (f64::NAN, 1),
        (0.0, 1),
    ] {
        let mut floors = vec![100.0, second, 100.0, 100.0].into_iter();
        let rounds = Rounds {
            wanted: 1,
            ..Rounds::default()
        };
        let outcome = rounds.measure(|contender| -> Result<f64, Infallible> {
            Ok(match contender {
                Contender::Floor => floors.next().unwrap(),
                Contender::Server(_) => 150.0,
            })
        });
        let outcome = outcome.unwrap();
        assert_eq!(
            (outcome.rounds.len(), outcome.rejected),
            (1, rejected),
            "{second}"
        );
    }
}

#[test]
fn a_restless_machine_ends_it_without_a_figure() {
    let (mut calls, mut floor) = (0, 1.0);
    let outcome = Rounds::default().measure(|_| -> Result<f64, Infallible> {
        calls += 1;
        floor *= 1.2;
        Ok(floor)
    });
    let outcome = outcome.unwrap();
    assert_eq!((outcome.rounds.len(), outcome.rejected, calls), (0, 6, 24));
    assert_eq!((outcome.over_floor(0), outcome.over(0, 0)), (None, None));
}

#[test]
fn an_error_ends_it_at_once() {
    let mut calls = 0;
    let outcome = Rounds::default().measure(|_| {
        calls += 1;
        if calls == 3 { Err("gone") } else { Ok(1.0) }
    });
    assert_eq!((outcome, calls), (Err("gone"), 3));
}

proptest! {
    #[test]
    fn everybody_is_measured_twice_in_a_mirror(rounds in shape(), round in 0_usize..20) {
        let order = rounds.order(round);
        let mirrored: Vec<Contender> = order.iter().rev().copied().collect();
        prop_assert_eq!(&order, &mirrored);
        let mut times = BTreeMap::new();
        order.iter().for_each(|contender| *times.entry(*contender).or_insert(0) += 1);
        prop_assert_eq!(times.len(), rounds.servers + 1);
        prop_assert!(times.values().all(|count| *count == 2));
        prop_assert_eq!(order[0], Contender::Floor);
    }

    /// Ratios do not see a machine that gets slower or faster: equal contenders stay equal.
    #[test]
    fn a_steady_drift_favours_nobody(rounds in shape(), base in 50.0_f64..500.0, drift in -0.004_f64..0.004) {
        let mut at = 0.0;
        let outcome = rounds.measure(|_| -> Result<f64, Infallible> {
            at += 1.0;
            Ok(base * (1.0 + drift * at))
        });
        let outcome = outcome.unwrap();
        prop_assert_eq!(outcome.rounds.len(), rounds.wanted);
        for server in 0..rounds.servers {
            let ratio = outcome.over_floor(server).unwrap();
            prop_assert!((ratio.least - 1.0).abs() < 1e-9 && (ratio.most - 1.0).abs() < 1e-9, "{ratio:?}");
        }
    }

    #[test]
    fn it_ends_in_bounded_time_and_the_median_lies_within_the_spread(
        rounds in shape(), values in proptest::collection::vec(90.0_f64..112.0, 40),
    ) {
        let mut calls = 0;
        let outcome = rounds.measure(|_| -> Result<f64, Infallible> {
            calls += 1;
            Ok(values[calls % values.len()])
        });
        let outcome = outcome.unwrap();
        prop_assert!(calls <= (rounds.wanted + rounds.most_rejected) * 2 * (rounds.servers + 1));
        prop_assert!(outcome.rounds.len() <= rounds.wanted && outcome.rejected <= rounds.most_rejected + 1);
        for server in 0..rounds.servers {
            prop_assert_eq!(outcome.beside_floor(server).len(), outcome.rounds.len());
            for ratio in [outcome.over_floor(server), outcome.over(server, 0)].into_iter().flatten() {
                prop_assert!(ratio.least <= ratio.median && ratio.median <= ratio.most);
            }
        }
        prop_assert_eq!(outcome.over_floor(rounds.servers), None);
    }
}
