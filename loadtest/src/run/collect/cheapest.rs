//! The distribution tree with the least link traffic there can be, by trying all. Pure; knows nothing of how nodes make theirs.

/// No node may be later than so many times its shortest way (`mesh.stretch`).
const STRETCH: f64 = 1.2;
/// Nor all together, on the average.
const MEAN_STRETCH: f64 = 1.05;
/// Choices of parents looked at for one origin; more nodes than that takes are not tried.
const MOST_CHOICES: f64 = 2e7;

/// Delays in milliseconds, from and to by place.
pub(super) type Delays = Vec<Vec<f64>>;

/// The shortest ways over any number of links. Source: Floyd 1962, Warshall 1962.
pub(super) fn shortest(direct: &Delays) -> Delays {
    let mut ways = direct.clone();
    let nodes = ways.len();
    for over in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                let round = ways[from][over] + ways[over][to];
                if round < ways[from][to] {
                    ways[from][to] = round;
                }
            }
        }
    }
    ways
}

/// The least sum of delays of the links of a tree from `origin` to all nodes, none of which is too late; `None` where there are
/// too many trees to try.
pub(super) fn cheapest(direct: &Delays, origin: usize) -> Option<f64> {
    let ways = shortest(direct);
    let others: Vec<usize> = (0..direct.len()).filter(|node| *node != origin).collect();
    // Whoever stands behind a parent is no earlier than over the shortest way to that one.
    let parents: Vec<Vec<usize>> = others
        .iter()
        .map(|node| {
            let near_enough = |parent: &usize| {
                parent != node
                    && ways[origin][*parent] + direct[*parent][*node] <= ways[origin][*node] * STRETCH + 1e-9
            };
            (0..direct.len()).filter(near_enough).collect()
        })
        .collect();
    let choices: f64 = parents.iter().map(|parents| parents.len() as f64).product();
    if choices > MOST_CHOICES {
        return None;
    }
    let mut search = Search {
        direct,
        to: &ways[origin],
        origin,
        others: &others,
        parents: &parents,
        chosen: vec![origin; direct.len()],
        least: f64::INFINITY,
    };
    search.choose(0, 0.0);
    Some(search.least)
}

struct Search<'s> {
    direct: &'s Delays,
    /// The shortest ways from the origin.
    to: &'s [f64],
    origin: usize,
    others: &'s [usize],
    parents: &'s [Vec<usize>],
    /// The parent of each node, so far.
    chosen: Vec<usize>,
    least: f64,
}

impl Search<'_> {
    fn choose(&mut self, at: usize, cost: f64) {
        if cost >= self.least {
            return;
        }
        let Some(node) = self.others.get(at).copied() else {
            if self.in_time() {
                self.least = cost;
            }
            return;
        };
        for parent in &self.parents[at] {
            self.chosen[node] = *parent;
            self.choose(at + 1, cost + self.direct[*parent][node]);
        }
    }

    /// Whether all nodes hang on the origin and none of them, nor all together, are too late.
    fn in_time(&self) -> bool {
        let (mut together, mut least) = (0.0, 0.0);
        for node in self.others {
            let (mut at, mut late, mut steps) = (*node, 0.0, 0);
            while at != self.origin {
                late += self.direct[self.chosen[at]][at];
                at = self.chosen[at];
                steps += 1;
                if steps > self.others.len() {
                    return false;
                }
            }
            if late > self.to[*node] * STRETCH + 1e-9 {
                return false;
            }
            (together, least) = (together + late, least + self.to[*node]);
        }
        together <= least * MEAN_STRETCH + 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Delays {
        // 0 - 10 - 1 - 10 - 2, and a link past the middle.
        vec![
            vec![0.0, 10.0, 19.0],
            vec![10.0, 0.0, 10.0],
            vec![19.0, 10.0, 0.0],
        ]
    }

    #[test]
    fn a_copy_goes_on_from_the_middle_where_that_is_hardly_later() {
        assert_eq!(cheapest(&line(), 0), Some(20.0));
        assert_eq!(cheapest(&line(), 1), Some(20.0));
        let mut far = line();
        far[1][2] = 30.0;
        assert_eq!(cheapest(&far, 0), Some(29.0), "too late over the middle");
    }

    #[test]
    fn the_shortest_way_may_have_two_links() {
        let mut direct = line();
        direct[0][2] = 50.0;
        assert_eq!(shortest(&direct)[0], [0.0, 10.0, 20.0]);
    }
}
