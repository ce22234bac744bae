//! Where people go whose server is gone: what a client does with its list of alternatives.

use crate::scenario::Region;
use crate::wan::profiles::great_circle_km;

/// Regions with a node in order of distance from `home`.
pub(super) fn by_distance(regions: &[Region], home: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..regions.len()).filter(|at| regions[*at].node).collect();
    let Some(here) = regions.get(home) else {
        return order;
    };
    let distance_km = |place: &usize| {
        let there = &regions[*place];
        great_circle_km((here.latitude, here.longitude), (there.latitude, there.longitude))
    };
    order.sort_by(|a, b| distance_km(a).total_cmp(&distance_km(b)));
    order
}

/// The place to try next: the nearest that is not the one just lost.
pub(super) fn next(order: &[usize], lost: usize) -> usize {
    order.iter().copied().find(|place| *place != lost).unwrap_or(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_other_place_is_next() {
        let region = |name: &str, latitude, longitude| Region {
            name: name.to_owned(),
            title: name.to_owned(),
            latitude,
            longitude,
            node: name != "ship",
        };
        let regions = [
            region("fra", 50.11, 8.68),
            region("sin", 1.35, 103.82),
            region("syd", -33.87, 151.21),
            region("ship", -30.0, 150.0),
        ];
        let order = by_distance(&regions, 2);
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(
            by_distance(&regions, 3),
            [2, 1, 0],
            "nobody goes where no node is"
        );
        assert_eq!([next(&order, 2), next(&order, 1)], [1, 2]);
    }
}
