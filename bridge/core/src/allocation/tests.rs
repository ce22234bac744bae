use super::*;
use proptest::prelude::*;

fn camera(class: Class, max: u8, held: Option<u8>) -> Request {
    Request {
        class,
        max: Layer(max),
        rates: [150_000, 500_000, 1_700_000].map(|rate| [rate; TEMPORAL_STEPS]),
        held: held.map(|layer| OperatingPoint::whole(Layer(layer))),
        settled: true,
    }
}

fn chosen(estimate: u64, requests: &[Request]) -> Vec<Option<u8>> {
    let mut chosen = Vec::new();
    allocate(Bitrate(estimate), requests, &mut chosen);
    chosen
        .into_iter()
        .map(|point| point.map(|point| point.layer.0))
        .collect()
}

#[test]
fn with_room_everybody_gets_what_the_tile_shows() {
    let requests = [camera(Class::Other, 2, None), camera(Class::Screen, 1, None)];
    assert_eq!(chosen(5_000_000, &requests), [Some(2), Some(1)]);
}

#[test]
fn the_smallest_layers_come_first_then_screens_speakers_and_large_tiles() {
    let requests = [
        camera(Class::Other, 0, None),
        camera(Class::Other, 2, None),
        camera(Class::Speaker, 2, None),
        camera(Class::Screen, 2, None),
    ];
    assert_eq!(chosen(200_000, &requests), [None, None, None, Some(0)]);
    assert_eq!(chosen(400_000, &requests), [None, None, Some(0), Some(0)]);
    assert_eq!(chosen(750_000, &requests), [Some(0); 4]);
    assert_eq!(chosen(3_000_000, &requests), [Some(0), Some(0), Some(1), Some(2)]);
    assert_eq!(chosen(4_700_000, &requests), [Some(0), Some(0), Some(2), Some(2)]);
}

#[test]
fn equals_are_served_alike() {
    let requests = [camera(Class::Other, 2, None); 4];
    assert_eq!(chosen(1_200_000, &requests), [Some(1), Some(0), Some(0), Some(0)]);
    assert_eq!(chosen(2_400_000, &requests), [Some(1); 4]);
}

#[test]
fn what_is_held_stays_until_it_does_not_fit_and_comes_back_only_with_room_to_spare() {
    let held = [camera(Class::Other, 2, Some(1))];
    let lower = [camera(Class::Other, 2, Some(0))];
    assert_eq!(chosen(530_000, &held), [Some(1)]);
    assert_eq!(chosen(520_000, &held), [Some(0)]);
    assert_eq!(chosen(530_000, &lower), [Some(0)]);
    assert_eq!(chosen(590_000, &lower), [Some(1)]);
    let unsettled = Request {
        settled: false,
        ..lower[0]
    };
    assert_eq!(chosen(5_000_000, &[unsettled]), [Some(0)]);
}

/// Each layer with its shares, none of it below the layer before.
fn growing(rates: [u64; 3], shares: [u64; TEMPORAL_STEPS]) -> [[u64; TEMPORAL_STEPS]; MAX_LAYERS] {
    let mut below = 0;
    rates.map(|rate| {
        let steps = shares.map(|share| below.max(rate * share / 100));
        below = below.max(rate);
        steps
    })
}

fn points(estimate: u64, requests: &[Request]) -> Vec<Option<(u8, Option<u8>)>> {
    let mut chosen = Vec::new();
    allocate(Bitrate(estimate), requests, &mut chosen);
    let said = |point: OperatingPoint| (point.layer.0, point.temporal());
    chosen.into_iter().map(|point| point.map(said)).collect()
}

#[test]
fn frames_are_left_out_before_a_picture_pauses_and_before_a_layer_is_missed() {
    let with_temporal = Request {
        rates: growing([150_000, 500_000, 1_700_000], [40, 60, 100]),
        ..camera(Class::Other, 2, None)
    };
    let two = [with_temporal; 2];
    assert_eq!(points(60_000, &two), [None, None]);
    assert_eq!(points(150_000, &two), [Some((0, Some(0))); 2]);
    assert_eq!(points(220_000, &two), [Some((0, Some(1))); 2]);
    assert_eq!(points(360_000, &two), [Some((0, None)); 2]);
    assert_eq!(points(530_000, &two), [Some((1, Some(1))), Some((0, None))]);
    assert_eq!(points(1_200_000, &two), [Some((1, None)); 2]);
}

prop_compose! {
    fn any_request()(
        class in prop_oneof![Just(Class::Screen), Just(Class::Speaker), Just(Class::Other)],
        max in 0_u8..3,
        small in 20_000_u64..300_000,
        growth in (1_u64..5, 1_u64..5),
        held in proptest::option::of((0_u8..3, 0_u8..3)),
        // What the temporal layers take, in hundredths: as encoders have them, or none.
        shares in prop_oneof![Just([100, 100, 100]), Just([40, 60, 100]), Just([60, 100, 100])],
        settled in any::<bool>(),
    ) -> Request {
        Request {
            class,
            max: Layer(max),
            rates: growing([small, small * growth.0, small * growth.0 * growth.1], shares),
            held: held.map(|(layer, temporal)| OperatingPoint::of_layer(Layer(layer), temporal)),
            settled,
        }
    }
}

fn cost(requests: &[Request], chosen: &[Option<OperatingPoint>]) -> u64 {
    requests
        .iter()
        .zip(chosen)
        .map(|(request, layer)| request.cost(*layer))
        .sum()
}

proptest! {
    #[test]
    fn the_sum_of_the_rates_stays_below_the_estimate(
        estimate in 0_u64..20_000_000,
        requests in proptest::collection::vec(any_request(), 0..40),
    ) {
        let mut chosen = Vec::new();
        allocate(Bitrate(estimate), &requests, &mut chosen);
        prop_assert!(cost(&requests, &chosen) <= estimate * HEADROOM_PERCENT / 100);
        for (request, layer) in requests.iter().zip(&chosen) {
            prop_assert!(layer.is_none_or(|point| point.layer <= request.max));
        }
    }

    #[test]
    fn nobody_starves_where_the_smallest_layers_fit(
        spare in 0_u64..5_000_000,
        requests in proptest::collection::vec(any_request(), 1..40),
    ) {
        let requests: Vec<Request> = requests
            .into_iter()
            .map(|request| Request { settled: true, ..request })
            .collect();
        let smallest: u64 = requests.iter().map(|request| request.rates[0][0]).sum();
        let mut chosen = Vec::new();
        allocate(Bitrate(smallest * 100 / RAISE_PERCENT + 1 + spare), &requests, &mut chosen);
        prop_assert!(chosen.iter().all(Option::is_some));
    }

    /// Whoever is less important has no more than the smallest layer while a more important one could be raised with
    /// what that costs.
    #[test]
    fn importance_decides(
        estimate in 0_u64..20_000_000,
        requests in proptest::collection::vec(any_request(), 2..20),
    ) {
        let requests: Vec<Request> = requests
            .into_iter()
            .map(|request| Request { settled: true, held: None, ..request })
            .collect();
        let mut chosen = Vec::new();
        allocate(Bitrate(estimate), &requests, &mut chosen);
        let left = estimate * RAISE_PERCENT / 100 - cost(&requests, &chosen);
        for (at, request) in requests.iter().enumerate() {
            let Some(next) = request.above(chosen[at]).filter(|_| chosen[at].is_some()) else {
                continue;
            };
            let more = request.cost(Some(next)) - request.cost(chosen[at]);
            for (other, less) in requests.iter().enumerate() {
                let smallest = Some(OperatingPoint::whole(Layer(0)));
                if rank(less) > rank(request) && chosen[other] > smallest {
                    let freed = less.cost(chosen[other]) - less.cost(smallest);
                    prop_assert!(more > left + freed || more > left, "{at} before {other}");
                }
            }
        }
    }

    /// An estimate that wanders by 3 % and rates that wander by 2 % (together within the margin between taking up a
    /// layer and leaving it): a minute, with decisions ten times a second, of
    /// which the first ten seconds find the way.
    #[test]
    fn in_steady_state_no_picture_changes_more_than_once_in_two_seconds(
        estimate in 300_000_u64..10_000_000,
        requests in proptest::collection::vec(any_request(), 1..12),
        noise in proptest::collection::vec((0_u64..=60, 0_u64..=40), 600),
    ) {
        let steps = 20;
        let mut requests = requests;
        let steady: Vec<_> = requests.iter().map(|request| request.rates).collect();
        let mut last_change = vec![None::<usize>; requests.len()];
        let mut chosen = Vec::new();
        for (step, (of_estimate, of_rates)) in noise.iter().enumerate() {
            for (request, steady) in requests.iter_mut().zip(&steady) {
                request.rates = steady.map(|rates: [u64; TEMPORAL_STEPS]| rates.map(|rate| rate * (980 + of_rates) / 1_000));
            }
            for (request, last) in requests.iter_mut().zip(&last_change) {
                request.settled = last.is_none_or(|last| step - last >= steps);
            }
            allocate(Bitrate(estimate * (970 + of_estimate) / 1_000), &requests, &mut chosen);
            for (at, layer) in chosen.iter().enumerate() {
                if requests[at].held != *layer {
                    if step > 5 * steps {
                        prop_assert!(
                            last_change[at].is_none_or(|last| step - last >= steps),
                            "picture {} again after {} steps", at, step - last_change[at].unwrap_or(0)
                        );
                    }
                    last_change[at] = Some(step);
                    requests[at].held = *layer;
                }
            }
        }
    }
}
