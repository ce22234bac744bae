//! Where people go whose server is gone: what a client does with its list of alternatives.

use crate::scenario::Region;

/// Regions in order of distance from `home`, itself first.
pub(super) fn by_distance(regions: &[Region], home: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..regions.len()).collect();
    let Some(here) = regions.get(home) else {
        return order;
    };
    order.sort_by(|a, b| distance_km(here, &regions[*a]).total_cmp(&distance_km(here, &regions[*b])));
    order
}

/// Along the great circle (haversine), in kilometres.
fn distance_km(a: &Region, b: &Region) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let lat = (lat_b - lat_a) / 2.0;
    let lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let chord = lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * lon.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
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
        };
        let regions = [
            region("fra", 50.11, 8.68),
            region("sin", 1.35, 103.82),
            region("syd", -33.87, 151.21),
        ];
        let order = by_distance(&regions, 2);
        assert_eq!(order, [2, 1, 0]);
        assert_eq!([next(&order, 2), next(&order, 1)], [1, 2]);
        assert!((distance_km(&regions[0], &regions[1]) - 10_260.0).abs() < 60.0);
    }
}
