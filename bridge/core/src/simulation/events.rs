//! What happens to a meeting, by chance.

use super::world::{SIGNALLING_STEP, World, usual_path};
use crate::mesh::testing::Path;
use std::time::Duration;

impl World {
    /// Something happens; answers what.
    pub(super) fn random_event(&mut self) -> String {
        let nodes = self.names.len() as u64;
        let (a, b) = (
            self.chance.below(nodes) as usize,
            self.chance.below(nodes) as usize,
        );
        let what = match self.chance.below(9) {
            0 if self.model.dead.is_empty() => {
                self.kill(a);
                format!("kill {}", self.names[a])
            }
            1 | 2 if self.model.dead.contains(&a) => {
                self.start(a);
                format!("start {}", self.names[a])
            }
            3 if a != b => {
                self.cut(a, b);
                format!("cut {} {}", self.names[a], self.names[b])
            }
            4 | 5 if self.model.cut.contains(&(a.min(b), a.max(b))) => {
                self.heal(a, b);
                format!("heal {} {}", self.names[a], self.names[b])
            }
            _ => self.come_and_go(),
        };
        self.log.push(what.clone());
        what
    }

    /// A link is cut or healed; answers which. No node is ever without any.
    pub(super) fn random_link(&mut self) -> String {
        let nodes = self.names.len() as u64;
        let pairs = |a: usize, b: usize| (a.min(b), a.max(b));
        let (a, b) = loop {
            let (a, b) = (
                self.chance.below(nodes) as usize,
                self.chance.below(nodes) as usize,
            );
            if a != b {
                break pairs(a, b);
            }
        };
        let what = if self.model.cut.contains(&(a, b)) {
            self.heal(a, b);
            format!("heal {} {}", self.names[a], self.names[b])
        } else {
            self.cut(a, b);
            format!("cut {} {}", self.names[a], self.names[b])
        };
        self.log.push(what.clone());
        what
    }

    pub(super) fn come_and_go(&mut self) -> String {
        let (mut joined, mut left, mut muted) = (0, 0, 0);
        for _ in 0..5 {
            let people = self.model.people.len() as u64;
            match self.chance.below(3) {
                0 if people > 3 => {
                    let at = self.chance.below(people) as usize;
                    self.leave(at);
                    left += 1;
                }
                1 if people > 0 => {
                    let at = self.chance.below(people) as usize;
                    self.mute(at);
                    muted += 1;
                }
                _ => {
                    let node = self.chance.below(self.names.len() as u64) as usize;
                    if !self.model.dead.contains(&node) && !self.model.draining.contains(&node) {
                        self.join(node);
                        joined += 1;
                    }
                }
            }
            self.run(SIGNALLING_STEP);
        }
        format!("{joined} joined, {left} left, {muted} (un)muted")
    }

    /// Anything that can happen to a mesh; answers what.
    pub(super) fn anything(&mut self) -> String {
        let nodes = self.names.len() as u64;
        let a = self.chance.below(nodes) as usize;
        let b = (a + 1 + self.chance.below(nodes - 1) as usize) % self.names.len();
        let what = match self.chance.below(18) {
            0 | 1 => self.kill_one(a),
            2 | 3 => self.start_one(),
            4 | 5 => self.cut_one(a, b),
            6..=8 => self.heal_one(),
            9 => self.degrade(a, b),
            10 => self.lengthen(a, b),
            11 => self.stand_still(a),
            12 => self.drain_one(a),
            13 | 14 => self.move_some(),
            15 => self.share_one(),
            _ => None,
        };
        let what = what.unwrap_or_else(|| self.come_and_go());
        self.log.push(what.clone());
        what
    }

    /// A link is cut or healed, or a node killed or started; answers what. Cuts are the most.
    pub(super) fn break_or_mend(&mut self) -> String {
        let nodes = self.names.len() as u64;
        loop {
            let a = self.chance.below(nodes) as usize;
            let b = (a + 1 + self.chance.below(nodes - 1) as usize) % self.names.len();
            let what = match self.chance.below(8) {
                0 => self.kill_one(a),
                1 => self.start_and_fill(),
                2 | 3 => self.heal_one(),
                _ => self.cut_one(a, b),
            };
            if let Some(what) = what {
                self.log.push(what.clone());
                return what;
            }
        }
    }

    fn start_and_fill(&mut self) -> Option<String> {
        let what = self.start_one()?;
        for node in 0..self.names.len() {
            if !self.model.dead.contains(&node) && self.model.people.iter().all(|person| person.node != node)
            {
                self.join(node);
            }
        }
        Some(what)
    }

    fn running(&self) -> usize {
        self.names.len() - self.model.dead.len()
    }

    fn kill_one(&mut self, node: usize) -> Option<String> {
        if self.model.dead.contains(&node) || self.running() <= 2 {
            return None;
        }
        let name = self.names[node];
        let stops = self.chance.happens(0.3) || self.model.draining.contains(&node);
        if stops {
            self.stop(node);
            return Some(format!("stop {name}"));
        }
        self.kill(node);
        Some(format!("kill {name}"))
    }

    /// A node says goodbye, and its process ends.
    fn stop(&mut self, node: usize) {
        let now = self.net.now();
        self.model.people.retain(|person| person.node != node);
        self.net.with_core(node, |core| core.stop(now));
        self.run(Duration::from_millis(200));
        self.kill(node);
    }

    fn start_one(&mut self) -> Option<String> {
        let dead: Vec<usize> = self.model.dead.iter().copied().collect();
        let node = *self.chance.pick(&dead)?;
        self.start(node);
        Some(format!("start {}", self.names[node]))
    }

    fn cut_one(&mut self, a: usize, b: usize) -> Option<String> {
        if self.model.cut.contains(&(a.min(b), a.max(b))) {
            return None;
        }
        self.cut(a, b);
        Some(format!("cut {} {}", self.names[a], self.names[b]))
    }

    fn heal_one(&mut self) -> Option<String> {
        let cuts: Vec<(usize, usize)> = self.model.cut.iter().copied().collect();
        let (a, b) = *self.chance.pick(&cuts)?;
        self.heal(a, b);
        Some(format!("heal {} {}", self.names[a], self.names[b]))
    }

    /// A link loses packets and delivers them irregularly, or is as it was.
    fn degrade(&mut self, a: usize, b: usize) -> Option<String> {
        let pair = (a.min(b), a.max(b));
        let (what, loss, jitter) = if self.model.degraded.remove(&pair) {
            ("restore", usual_path().loss, usual_path().jitter)
        } else {
            self.model.degraded.insert(pair);
            let loss = 0.01 + self.chance.below(40) as f64 / 1_000.0;
            ("degrade", loss, Duration::from_millis(self.chance.below(25)))
        };
        self.net
            .set_path(a, b, |path| (path.loss, path.jitter) = (loss, jitter));
        Some(format!("{what} {} {}", self.names[a], self.names[b]))
    }

    /// A link becomes longer or shorter.
    fn lengthen(&mut self, a: usize, b: usize) -> Option<String> {
        let delay = 5 + self.chance.below(200);
        self.net
            .set_path(a, b, |path: &mut Path| path.delay = Duration::from_millis(delay));
        Some(format!(
            "{} {} are {delay} ms apart",
            self.names[a], self.names[b]
        ))
    }

    fn stand_still(&mut self, node: usize) -> Option<String> {
        if self.model.dead.contains(&node) {
            return None;
        }
        let time = 100 + self.chance.below(1_500);
        self.net.stall(node, Duration::from_millis(time));
        Some(format!("{} stands still for {time} ms", self.names[node]))
    }

    fn drain_one(&mut self, node: usize) -> Option<String> {
        let serving = self.running() - self.model.draining.len();
        if self.model.dead.contains(&node) || self.model.draining.contains(&node) || serving <= 2 {
            return None;
        }
        self.net.with_core(node, crate::mesh::MeshCore::drain);
        self.model.draining.insert(node);
        Some(format!("drain {}", self.names[node]))
    }

    /// People change over to another node: those of one that drains first, else anybody comes in anew elsewhere.
    fn move_some(&mut self) -> Option<String> {
        let mut moved = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let (draining, others): (Vec<_>, Vec<_>) = (0..self.model.people.len())
                .partition(|at| self.model.draining.contains(&self.model.people[*at].node));
            let from = if draining.is_empty() { others } else { draining };
            let at = *self.chance.pick(&from)?;
            let home = self.model.people[at].node;
            let may_take = |node: &usize| {
                *node != home
                    && !self.model.dead.contains(node)
                    && !self.model.draining.contains(node)
                    && self.model.reaches(home, *node)
            };
            let places: Vec<usize> = (0..self.names.len()).filter(may_take).collect();
            let to = *self.chance.pick(&places)?;
            self.change_over(at, to);
            moved.push(format!("to {}", self.names[to]));
        }
        Some(format!("move {moved:?}"))
    }

    /// Somebody joins on another node while still here, and lets go of this one a little later.
    fn change_over(&mut self, at: usize, to: usize) {
        let former = self.model.people.remove(at);
        self.join_as(to, former.identity.clone());
        let pause = Duration::from_millis(self.chance.below(3_000));
        self.run(pause);
        // Where its node does not drain, it has been sent away already, if it was heard of.
        if self.net.shards(former.node).clients.contains_key(&former.session) {
            self.close(&former);
        }
    }

    fn share_one(&mut self) -> Option<String> {
        let people = self.model.people.len() as u64;
        if people == 0 {
            return None;
        }
        let at = self.chance.below(people) as usize;
        self.share(at);
        self.run(SIGNALLING_STEP);
        Some("share".to_owned())
    }
}
